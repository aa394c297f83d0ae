; INT 10h: border (function 0Bh), palette registers and DAC (function 10h).

; ---------------------------------------------------------------------------------------------------------
; DAC
; ---------------------------------------------------------------------------------------------------------

; Load the palette of the mode whose block is at CS:SI, CL = mode, unless that was switched off.
; Clobbers AX, BX, DX.
load_default_palette:
        test    byte [BDA_VIDEO_FLAGS], FLAGS_KEEP_PALETTE
        jnz     .kept
        push    cx
        push    si
        mov     dx, VGA_PEL_MASK
        mov     al, 0FFh
        out     dx, al
        push    ds
        mov     bx, dac_256
        cmp     cl, MODE_256_COLOURS
        mov     cx, 256
        je      .selected
        mov     cx, 64
        mov     bx, dac_mono            ; the palette registers tell which colours the mode counts on
        cmp     byte [cs:si + PARAM_ATTRIBUTE + 1], 08h
        je      .selected
        mov     bx, dac_ega
        mov     al, [cs:si + PARAM_ATTRIBUTE + 15]
        cmp     al, 3Fh
        je      .selected
        mov     bx, dac_rgbi
.selected:
        mov     si, bx
        load_seg ds, ROM_SEG
        mov     bx, 0
        push    cx
        call    write_dac
        pop     cx
        pop     ds
        mov     bx, 0
        call    gray_if_wanted
        pop     si
        pop     cx
.kept:
        ret

; Write CX colours from number BL on; DS:SI -> red, green, blue bytes. Clobbers AX, CX, DX, SI.
write_dac:
        mov     dx, VGA_DAC_WRITE_INDEX
        mov     al, bl
        out     dx, al
        inc     dx
        mov     ax, cx
        add     cx, cx
        add     cx, ax
        rep outsb
        ret

; Read CX colours from number BL on to ES:DI. Clobbers AX, CX, DX, DI.
read_dac:
        mov     dx, VGA_DAC_READ_INDEX
        mov     al, bl
        out     dx, al
        add     dx, VGA_DAC_DATA - VGA_DAC_READ_INDEX
        mov     ax, cx
        add     cx, cx
        add     cx, ax
        rep insb
        ret

; 101Bh: CX colours from number BL on become grays: 30 % red, 59 % green, 11 % blue. Clobbers AX, BX, CX, DX, SI.
sum_to_gray:
        jcxz    .done
.colour:
        push    cx
        mov     dx, VGA_DAC_READ_INDEX
        mov     al, bl
        out     dx, al
        mov     dx, VGA_DAC_DATA
        in      al, dx
        mov     ah, 77                  ; weights in 1/256
        mul     ah
        mov     si, ax
        in      al, dx
        mov     ah, 151
        mul     ah
        add     si, ax
        in      al, dx
        mov     ah, 28
        mul     ah
        add     si, ax
        add     si, 80h                 ; round
        shr     si, 8
        mov     cx, si
        mov     dx, VGA_DAC_WRITE_INDEX
        mov     al, bl
        out     dx, al
        inc     dx
        mov     al, cl
        out     dx, al
        out     dx, al
        out     dx, al
        inc     bl
        pop     cx
        loop    .colour
.done:
        ret

; ---------------------------------------------------------------------------------------------------------
; Attribute controller
; ---------------------------------------------------------------------------------------------------------

; Make the next write to the attribute controller an index; DX = its port. Clobbers AL.
attribute_index_next:
        mov     dx, [BDA_CRTC_PORT]
        add     dx, CRTC_TO_STATUS
        in      al, dx
        mov     dx, VGA_ATTRIBUTE
        ret

; Write AH to attribute register AL. Clobbers AL, DX.
write_attribute:
        push    ax
        call    attribute_index_next
        pop     ax
        out     dx, al
        mov     al, ah
        out     dx, al
        mov     al, ATTRIBUTE_SCREEN_ON
        out     dx, al
        ret

; AL = attribute register AL. Clobbers DX.
read_attribute:
        push    ax
        call    attribute_index_next
        pop     ax
        out     dx, al
        inc     dx
        in      al, dx
        push    ax
        call    attribute_index_next    ; the index is to be written next, not data
        mov     al, ATTRIBUTE_SCREEN_ON
        out     dx, al
        pop     ax
        ret

; 0Bh: BH = 0: border colour BL (in graphics modes the background too); BH = 1: CGA colour set BL.
video_border:
        cmp     bh, 1
        je      .colour_set
        ja      video_ignored
        mov     cl, bl                  ; keep the rest of the CGA palette image
        and     cl, 1Fh
        and     byte [BDA_VIDEO_PALETTE], ~1Fh & 0FFh
        or      [BDA_VIDEO_PALETTE], cl
        call    rgbi_colour
        mov     al, ATTRIBUTE_BORDER
        call    write_attribute
        call    text_segment
        jnc     .done
        mov     al, 0
        call    write_attribute
.colour_set_intensity:
        call    text_segment            ; only graphics modes have a colour set
        jnc     .done
        cmp     byte [BDA_VIDEO_MODE], MODE_CGA_TWO_COLOURS
        jae     .done
        ; colours 1–3: green, red, brown (set 0) or cyan, magenta, white (set 1), all dark or all bright
        mov     ah, [BDA_VIDEO_PALETTE]
        mov     cl, ah
        and     ah, 10h
        shr     cl, 5
        and     cl, 1
        or      ah, cl
        mov     al, 1
        mov     cx, 3
.colour:
        add     ah, 2
        push    ax
        call    write_attribute
        pop     ax
        inc     al
        loop    .colour
.done:
        ret
.colour_set:
        and     byte [BDA_VIDEO_PALETTE], ~20h & 0FFh
        test    bl, 1
        jz      .colour_set_intensity
        or      byte [BDA_VIDEO_PALETTE], 20h
        jmp     .colour_set_intensity

; BL = CGA colour 0–15 -> AH = palette register value in modes of the CGA's line rate.
rgbi_colour:
        mov     ah, bl
        and     ah, 07h
        test    bl, 08h
        jz      .dark
        or      ah, 10h
.dark:
        ret

; ---------------------------------------------------------------------------------------------------------
; 10h: AL = subfunction
; ---------------------------------------------------------------------------------------------------------
video_palette:
        mov     si, .subfunctions
        jmp     video_subfunction
.subfunctions:
        subfunction 00h, palette_set_register
        subfunction 01h, palette_set_border
        subfunction 02h, palette_set_all
        subfunction 03h, palette_set_blink
        subfunction 07h, palette_get_register
        subfunction 08h, palette_get_border
        subfunction 09h, palette_get_all
        subfunction 10h, dac_set_colour
        subfunction 12h, dac_set_block
        subfunction 13h, dac_set_paging
        subfunction 15h, dac_get_colour
        subfunction 17h, dac_get_block
        subfunction 18h, dac_set_mask
        subfunction 19h, dac_get_mask
        subfunction 1Ah, dac_get_paging
        subfunction 1Bh, sum_to_gray
        subfunctions_end

; 1000h: BL = register, BH = value.
palette_set_register:
        cmp     bl, ATTRIBUTE_COLOUR_SELECT
        ja      video_ignored
        mov     al, bl
        mov     ah, bh
        jmp     write_attribute

; 1001h: BH = border colour.
palette_set_border:
        mov     al, ATTRIBUTE_BORDER
        mov     ah, bh
        jmp     write_attribute

; 1002h: ES:DX -> 16 palette registers and the border colour.
palette_set_all:
        mov     si, dx
        call    attribute_index_next
        mov     cx, 16
        mov     ah, 0
.next:
        mov     al, ah
        out     dx, al
        mov     al, [es:si]
        out     dx, al
        inc     si
        inc     ah
        loop    .next
        mov     al, ATTRIBUTE_BORDER
        out     dx, al
        mov     al, [es:si]
        out     dx, al
        mov     al, ATTRIBUTE_SCREEN_ON
        out     dx, al
        ret

; 1003h: BL = 1: attribute bit 7 blinks; 0: it brightens the background.
palette_set_blink:
        mov     al, ATTRIBUTE_MODE
        call    read_attribute
        and     al, ~ATTRIBUTE_MODE_BLINK & 0FFh
        and     byte [BDA_VIDEO_MODE_REG], ~CGA_MODE_BLINK & 0FFh
        test    bl, 1
        jz      .write
        or      al, ATTRIBUTE_MODE_BLINK
        or      byte [BDA_VIDEO_MODE_REG], CGA_MODE_BLINK
.write:
        mov     ah, al
        mov     al, ATTRIBUTE_MODE
        jmp     write_attribute

; 1007h: BL = register -> BH = value.
palette_get_register:
        cmp     bl, ATTRIBUTE_COLOUR_SELECT
        ja      video_ignored
        mov     al, bl
        call    read_attribute
        mov     [bp + FRAME_BH], al
        ret

; 1008h -> BH = border colour.
palette_get_border:
        mov     al, ATTRIBUTE_BORDER
        call    read_attribute
        mov     [bp + FRAME_BH], al
        ret

; 1009h: 16 palette registers and the border colour to ES:DX.
palette_get_all:
        mov     di, dx
        mov     cx, 16
        mov     bl, 0
.next:
        mov     al, bl
        call    read_attribute
        stosb
        inc     bl
        loop    .next
        mov     al, ATTRIBUTE_BORDER
        call    read_attribute
        stosb
        ret

; 1010h: BX = colour, DH = red, CH = green, CL = blue.
dac_set_colour:
        mov     ah, dh
        mov     dx, VGA_DAC_WRITE_INDEX
        mov     al, bl
        out     dx, al
        inc     dx
        mov     al, ah
        out     dx, al
        mov     al, ch
        out     dx, al
        mov     al, cl
        out     dx, al
        mov     cx, 1
; Gray summing on: colours just set become grays.
gray_if_wanted:
        test    byte [BDA_VIDEO_FLAGS], FLAGS_GRAY_SUMMING
        jnz     sum_to_gray
        ret

; 1012h: BX = first colour, CX = colours, ES:DX -> red, green, blue bytes.
dac_set_block:
        mov     si, dx
        push    ds
        push    es
        pop     ds
        push    cx
        call    write_dac
        pop     cx
        pop     ds
        jmp     gray_if_wanted

; 1013h: BL = 0: BH = 1 makes pages of 16 colours, 0 pages of 64; BL = 1: BH = page.
dac_set_paging:
        mov     al, ATTRIBUTE_MODE
        call    read_attribute
        cmp     bl, 1
        ja      video_ignored
        je      .page
        and     al, ~ATTRIBUTE_MODE_P54 & 0FFh
        shl     bh, 7
        or      al, bh
        mov     ah, al
        mov     al, ATTRIBUTE_MODE
        jmp     write_attribute
.page:
        test    al, ATTRIBUTE_MODE_P54
        jnz     .write
        shl     bh, 2
.write:
        mov     ah, bh
        and     ah, 0Fh
        mov     al, ATTRIBUTE_COLOUR_SELECT
        jmp     write_attribute

; 1015h: BX = colour -> DH = red, CH = green, CL = blue.
dac_get_colour:
        mov     dx, VGA_DAC_READ_INDEX
        mov     al, bl
        out     dx, al
        mov     dx, VGA_DAC_DATA
        in      al, dx
        mov     [bp + FRAME_DH], al
        in      al, dx
        mov     [bp + FRAME_CH], al
        in      al, dx
        mov     [bp + FRAME_CL], al
        ret

; 1017h: CX colours from number BX on to ES:DX.
dac_get_block:
        mov     di, dx
        jmp     read_dac

; 1018h: BL = PEL mask.
dac_set_mask:
        mov     dx, VGA_PEL_MASK
        mov     al, bl
        out     dx, al
        ret

; 1019h -> BL = PEL mask.
dac_get_mask:
        mov     dx, VGA_PEL_MASK
        in      al, dx
        mov     [bp + FRAME_BL], al
        ret

; 101Ah -> BL = 1: pages of 16 colours, 0: of 64; BH = page.
dac_get_paging:
        mov     al, ATTRIBUTE_MODE
        call    read_attribute
        shr     al, 7
        mov     bl, al
        mov     al, ATTRIBUTE_COLOUR_SELECT
        call    read_attribute
        and     al, 0Fh
        cmp     bl, 0
        jne     .answer
        shr     al, 2
.answer:
        mov     ah, al
        mov     al, bl
        mov     [bp + FRAME_BX], ax
        ret

