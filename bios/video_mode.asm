; INT 10h: power-on set-up, mode set (function 00h), border and palettes (functions 0Bh and 10h).

VGA_ATTRIBUTE           equ 3C0h        ; index and data in turns; reading status register 1 makes the index next
VGA_ATTRIBUTE_READ      equ 3C1h
VGA_MISC_WRITE          equ 3C2h
VGA_ENABLE              equ 3C3h
VGA_SEQUENCER           equ 3C4h
VGA_PEL_MASK            equ 3C6h
VGA_DAC_READ_INDEX      equ 3C7h
VGA_DAC_WRITE_INDEX     equ 3C8h
VGA_DAC_DATA            equ 3C9h
VGA_MISC_READ           equ 3CCh
VGA_GRAPHICS            equ 3CEh

MISC_COLOUR             equ 01h         ; CRTC at 3D4h, else at 3B4h
MISC_RAM_ENABLE         equ 02h
SEQ_RESET               equ 0
SEQ_RESET_SYNC          equ 01h
SEQ_RESET_OFF           equ 03h
ATTRIBUTE_MODE          equ 10h
ATTRIBUTE_MODE_BLINK    equ 08h
ATTRIBUTE_MODE_P54      equ 80h         ; pages of 16 colours instead of 64
ATTRIBUTE_BORDER        equ 11h
ATTRIBUTE_COLOUR_SELECT equ 14h
ATTRIBUTE_SCREEN_ON     equ 20h         ; in the index: the palette belongs to the display again

CRTC_PORT_COLOUR        equ 3D4h
CRTC_PORT_MONO          equ 3B4h
MODE_NO_CLEAR           equ 80h         ; in the mode number
MODE_CGA_TWO_COLOURS    equ 06h
MODE_FIRST_EGA          equ 0Dh
MODE_256_COLOURS        equ 13h
GRAPHICS_SEG            equ 0A000h
CURSOR_SHAPE_CGA        equ 0607h
CGA_PALETTE_DEFAULT     equ 30h
CGA_PALETTE_MODE6       equ 3Fh
CGA_MODE_BLINK          equ 20h

; ---------------------------------------------------------------------------------------------------------
; Power-on set-up: vectors, BDA, mode 3. Called once by POST. Clobbers all registers.
; ---------------------------------------------------------------------------------------------------------
video_init:
        load_seg ds, IVT_SEG
        vector  10h, int10_handler
        vector  42h, int10_handler      ; where an EGA keeps the handler that it replaced
        vector  1Dh, crt_parameters
        vector  1Fh, font_8x8_high
        vector  43h, font_8x16
        load_seg ds, BDA_SEG
        and     word [BDA_EQUIPMENT], ~EQUIP_VIDEO_MASK & 0FFFFh
        or      word [BDA_EQUIPMENT], EQUIP_VIDEO_80_COLOUR
        mov     byte [BDA_VIDEO_CONTROL], CONTROL_MEMORY_256K
        mov     byte [BDA_VIDEO_SWITCHES], SWITCHES_DEFAULT
        mov     byte [BDA_VIDEO_FLAGS], FLAGS_VGA_ACTIVE | FLAGS_400_LINES | FLAGS_DISPLAY_SWITCH
        mov     byte [BDA_VIDEO_DCC], COMBINATION_VGA_COLOUR
        mov     word [BDA_VIDEO_SAVE_PTR], video_save_pointers
        mov     word [BDA_VIDEO_SAVE_PTR + 2], ROM_SEG
        mov     byte [BDA_BELL_TICKS], 0
        mov     dx, VGA_ENABLE
        mov     al, 1
        out     dx, al
        mov     ax, MODE_LAST_COLOUR_TEXT
        int     10h
        ret

; ---------------------------------------------------------------------------------------------------------
; 00h: AL = mode, bit 7: keep the memory -> AL = 20h, 30h or 3Fh, the mode's kind as later BIOSes tell it
; ---------------------------------------------------------------------------------------------------------
video_set_mode:
        mov     ch, al
        and     al, ~MODE_NO_CLEAR & 0FFh
        call    mode_block
        jc      video_ignored
        and     ch, MODE_NO_CLEAR       ; CH = flag, CL = mode, SI = block in the parameter table
        mov     cl, al
        mov     ah, 20h
        cmp     al, 7
        ja      .kind_known
        mov     ah, 30h
        cmp     al, MODE_CGA_TWO_COLOURS
        jne     .kind_known
        mov     ah, 3Fh
.kind_known:
        mov     [bp + FRAME_AL], ah

        load_seg es, ROM_SEG
        push    cx
        call    program_registers
        mov     ax, ATTRIBUTE_COLOUR_SELECT
        call    write_attribute
        pop     cx
        call    load_default_palette
        call    mode_to_bda
        call    mode_font
        test    byte [BDA_VIDEO_CONTROL], CONTROL_NOT_CLEARED
        jnz     .kept
        call    clear_memory
.kept:
        ret

; AL = mode -> SI = its block in the parameter table (in CS); CF set: there is no such mode. Clobbers BX.
mode_block:
        cmp     al, MODE_LAST
        ja      .unknown
        movzx   bx, al
        mov     si, mode_blocks_high - 8
        cmp     al, 8
        jae     .selected
        mov     si, mode_blocks_400
        test    byte [BDA_VIDEO_FLAGS], FLAGS_400_LINES
        jnz     .selected
        mov     si, mode_blocks_200
        test    byte [BDA_VIDEO_FLAGS], FLAGS_200_LINES
        jnz     .selected
        mov     si, mode_blocks_350
.selected:
        movzx   si, byte [cs:si + bx]
        cmp     si, NO_BLOCK
        je      .unknown
        imul    si, PARAM_SIZE
        add     si, video_parameters
        clc
        ret
.unknown:
        stc
        ret

; Write a block's registers. ES:SI -> block; DS = BDA_SEG, where BDA_CRTC_PORT is kept up to date.
; Clobbers AX, BX, CX, DX, DI.
program_registers:
        mov     dx, VGA_MISC_WRITE
        mov     al, [es:si + PARAM_MISC]
        out     dx, al
        mov     bx, CRTC_PORT_COLOUR
        test    al, MISC_COLOUR
        jnz     .colour
        mov     bx, CRTC_PORT_MONO
.colour:
        mov     [BDA_CRTC_PORT], bx

        mov     dx, VGA_SEQUENCER
        mov     ax, SEQ_RESET | SEQ_RESET_SYNC << 8
        out     dx, ax
        lea     di, [si + PARAM_SEQUENCER]
        mov     cx, SEQUENCER_REGISTERS
        mov     al, 1
        call    .write_indexed
        mov     ax, SEQ_RESET | SEQ_RESET_OFF << 8
        out     dx, ax

        mov     dx, bx
        mov     ax, CRTC_VSYNC_END      ; value 0: lift the protection of registers 0–7
        out     dx, ax
        lea     di, [si + PARAM_CRTC]
        mov     cx, CRTC_REGISTERS
        mov     al, 0
        call    .write_indexed

        mov     dx, VGA_GRAPHICS
        lea     di, [si + PARAM_GRAPHICS]
        mov     cx, GRAPHICS_REGISTERS
        mov     al, 0
        call    .write_indexed

        call    attribute_index_next
        lea     di, [si + PARAM_ATTRIBUTE]
        mov     cx, ATTRIBUTE_REGISTERS
        mov     ah, 0
.attribute:
        mov     al, ah
        out     dx, al
        mov     al, [es:di]
        out     dx, al
        inc     di
        inc     ah
        loop    .attribute
        mov     al, ATTRIBUTE_SCREEN_ON
        out     dx, al
        ret

; CX registers from number AL on: index port DX, values at ES:DI.
.write_indexed:
        mov     ah, [es:di]
        out     dx, ax
        inc     di
        inc     al
        loop    .write_indexed
        ret

; Fields of the BDA after a mode set. CS:SI -> block, CL = mode, CH = MODE_NO_CLEAR or 0.
; Clobbers AX, BX, DX, DI.
mode_to_bda:
        mov     [BDA_VIDEO_MODE], cl
        movzx   ax, byte [cs:si + PARAM_COLUMNS]
        mov     [BDA_VIDEO_COLUMNS], ax
        mov     al, [cs:si + PARAM_ROWS]
        mov     [BDA_VIDEO_ROWS], al
        mov     al, [cs:si + PARAM_CHAR_HEIGHT]
        mov     [BDA_CHAR_HEIGHT], ax
        mov     ax, [cs:si + PARAM_PAGE_SIZE]
        mov     [BDA_VIDEO_PAGE_SIZE], ax
        and     byte [BDA_VIDEO_CONTROL], ~CONTROL_NOT_CLEARED & 0FFh
        or      [BDA_VIDEO_CONTROL], ch
        xor     ax, ax
        mov     [BDA_VIDEO_PAGE_START], ax
        mov     [BDA_VIDEO_PAGE], al
        mov     bx, (VIDEO_PAGES - 1) * 2
.cursor:
        mov     [BDA_CURSOR_POS + bx], ax
        sub     bx, 2
        jns     .cursor
        movzx   bx, cl
        mov     al, CGA_PALETTE_DEFAULT
        cmp     cl, 7
        ja      .not_cga                ; the CGA's registers say nothing of later modes
        mov     ah, [cs:cga_mode_registers + bx]
        mov     [BDA_VIDEO_MODE_REG], ah
        cmp     cl, MODE_CGA_TWO_COLOURS
        jne     .not_cga
        mov     al, CGA_PALETTE_MODE6
.not_cga:
        mov     [BDA_VIDEO_PALETTE], al
        ret

; Load the mode's font into plane 2 (text), point INT 43h at it, and set the cursor's shape. CL = mode.
; Clobbers all registers but BP.
mode_font:
        mov     al, [BDA_CHAR_HEIGHT]
        call    rom_font
        push    ds
        load_seg ds, IVT_SEG
        mov     [43h * 4], si
        mov     word [43h * 4 + 2], ROM_SEG
        pop     ds
        call    text_segment
        jc      .graphics
        mov     bx, 0                   ; block 0
        call    load_rom_font
        test    byte [BDA_VIDEO_CONTROL], CONTROL_NO_EMULATION
        jnz     default_cursor_shape
        mov     word [BDA_CURSOR_SHAPE], CURSOR_SHAPE_CGA
        jmp     program_cursor_shape
.graphics:
        mov     word [BDA_CURSOR_SHAPE], 0
        ret

; Fill the memory of the mode in the BDA with blanks or with black. Clobbers AX, CX, DI, ES.
clear_memory:
        mov     cx, TEXT_MEMORY_SIZE / 4
        xor     di, di
        call    text_segment
        mov     eax, (07h << 8 | BLANK) * 10001h
        jnc     .fill
        xor     eax, eax
        cmp     byte [BDA_VIDEO_MODE], MODE_FIRST_EGA
        jb      .fill                   ; a CGA mode's memory lies where text does
        load_seg es, GRAPHICS_SEG
        mov     cx, 10000h / 4
.fill:
        rep stosd
        ret

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

