; INT 10h: the adapter's switches (function 12h), display combination (1Ah), state (1Bh).

SEQ_CLOCKING_MODE       equ 1
CLOCKING_SCREEN_OFF     equ 20h
SUPPORTED_12H           equ 12h
SUPPORTED_1AH           equ 1Ah
SUPPORTED_1BH           equ 1Bh

; ---------------------------------------------------------------------------------------------------------
; 12h: BL = subfunction, AL = its argument
; ---------------------------------------------------------------------------------------------------------
video_alternate:
        mov     al, bl
        mov     si, .subfunctions
        jmp     video_subfunction
.subfunctions:
        subfunction 10h, adapter_information
        subfunction 20h, video_ignored  ; print screen knows every number of rows anyway
        subfunction 30h, choose_lines
        subfunction 31h, choose_palette_loading
        subfunction 32h, choose_memory_access
        subfunction 33h, choose_gray_summing
        subfunction 34h, choose_cursor_emulation
        subfunction 35h, answer_12h     ; switch displays: there is only one
        subfunction 36h, choose_refresh
        subfunctions_end

; 10h -> BH = 0 colour, 1 mono; BL = 3: 256 KiB; CH = feature bits (no connector: 0), CL = switches.
adapter_information:
        mov     ax, 0003h
        cmp     word [BDA_CRTC_PORT], CRTC_PORT_MONO
        jne     .colour
        mov     ah, 1
.colour:
        mov     [bp + FRAME_BX], ax
        movzx   ax, byte [BDA_VIDEO_SWITCHES]
        and     al, SWITCHES_MASK
        mov     [bp + FRAME_CX], ax
        ret

; 30h: AL = 0, 1, 2: the next text mode has 200, 350, 400 lines.
choose_lines:
        mov     al, [bp + FRAME_AL]
        mov     ah, FLAGS_200_LINES
        mov     bl, SWITCHES_200_LINES
        cmp     al, 1
        jb      .chosen
        mov     ah, 0
        mov     bl, SWITCHES_ENHANCED
        je      .chosen
        mov     ah, FLAGS_400_LINES
        cmp     al, 2
        ja      video_ignored
.chosen:
        and     byte [BDA_VIDEO_FLAGS], ~(FLAGS_200_LINES | FLAGS_400_LINES) & 0FFh
        or      [BDA_VIDEO_FLAGS], ah
        and     byte [BDA_VIDEO_SWITCHES], ~SWITCHES_MASK & 0FFh
        or      [BDA_VIDEO_SWITCHES], bl
answer_12h:
        mov     byte [bp + FRAME_AL], SUPPORTED_12H
        ret

; 31h: AL = 1: mode sets leave the DAC alone; 0: they load it.
choose_palette_loading:
        mov     ah, FLAGS_KEEP_PALETTE
        mov     al, [bp + FRAME_AL]
        jmp     choose_flag

; 33h: AL = 0: colours become grays, 1: they do not.
choose_gray_summing:
        mov     ah, FLAGS_GRAY_SUMMING
        mov     al, [bp + FRAME_AL]
        xor     al, 1

; Flag AH of BDA_VIDEO_FLAGS := bit 0 of AL. Clobbers AX.
choose_flag:
        or      [BDA_VIDEO_FLAGS], ah
        test    al, 1
        jnz     answer_12h
        not     ah
        and     [BDA_VIDEO_FLAGS], ah
        jmp     answer_12h

; 34h: AL = 0: cursor lines are those of a CGA's cell, 1: they are taken literally.
choose_cursor_emulation:
        mov     al, [bp + FRAME_AL]
        and     al, CONTROL_NO_EMULATION
        and     byte [BDA_VIDEO_CONTROL], ~CONTROL_NO_EMULATION & 0FFh
        or      [BDA_VIDEO_CONTROL], al
        jmp     answer_12h

; 32h: AL = 0: the CPU reaches video memory, 1: it does not.
choose_memory_access:
        mov     dx, VGA_MISC_READ
        in      al, dx
        or      al, MISC_RAM_ENABLE
        test    byte [bp + FRAME_AL], 1
        jz      .write
        and     al, ~MISC_RAM_ENABLE & 0FFh
.write:
        mov     dx, VGA_MISC_WRITE
        out     dx, al
        jmp     answer_12h

; 36h: AL = 0: the picture is shown, 1: the screen is dark.
choose_refresh:
        mov     dx, VGA_SEQUENCER
        mov     al, SEQ_CLOCKING_MODE
        out     dx, al
        inc     dx
        in      al, dx
        and     al, ~CLOCKING_SCREEN_OFF & 0FFh
        test    byte [bp + FRAME_AL], 1
        jz      .write
        or      al, CLOCKING_SCREEN_OFF
.write:
        out     dx, al
        jmp     answer_12h

; ---------------------------------------------------------------------------------------------------------
; 1Ah: display combination
; ---------------------------------------------------------------------------------------------------------

; AL = 0 -> BL = active, BH = other adapter; AL = 1: BL, BH tell the BIOS so.
video_combination:
        cmp     al, 1
        ja      video_ignored
        mov     byte [bp + FRAME_AL], SUPPORTED_1AH
        je      .set
        call    read_combination
        mov     [bp + FRAME_BX], ax
        ret
.set:
        mov     si, (COMBINATIONS - 1) * 2
.next:
        mov     ax, [cs:combination_codes.pairs + si]
        cmp     ax, bx
        je      .found
        xchg    al, ah
        cmp     ax, bx
        je      .found
        sub     si, 2
        jns     .next
.found:
        shr     si, 1                   ; none: a number beyond the table, which reads as unknown
        mov     ax, si
        mov     [BDA_VIDEO_DCC], al
        ret

; AL = active, AH = other adapter. Clobbers SI.
read_combination:
        mov     ax, CODE_UNKNOWN * 101h
        movzx   si, byte [BDA_VIDEO_DCC]
        cmp     si, COMBINATIONS
        jae     .done
        add     si, si
        mov     ax, [cs:combination_codes.pairs + si]
        cmp     al, 0                   ; a pair with one adapter names it second
        jne     .done
        xchg    al, ah
.done:
        ret

; ---------------------------------------------------------------------------------------------------------
; 1Bh, BX = 0: 64 bytes about the present state to ES:DI
; ---------------------------------------------------------------------------------------------------------
STATE_SIZE              equ 40h
STATE_BDA_FIRST         equ BDA_VIDEO_MODE
STATE_BDA_SIZE          equ BDA_VIDEO_PALETTE + 1 - STATE_BDA_FIRST
STATE_MEMORY_256K       equ 3
STATE_EVERY_DISPLAY     equ 01h         ; every mode on every display
STATE_GRAY_SUMMING      equ 02h
STATE_MONO              equ 04h
STATE_KEEP_PALETTE      equ 08h
STATE_CURSOR_EMULATION  equ 10h
STATE_BLINK             equ 20h

video_state_info:
        cmp     bx, 0
        jne     video_ignored
        mov     byte [bp + FRAME_AL], SUPPORTED_1BH
        mov     ax, static_functionality
        stosw
        mov     ax, ROM_SEG
        stosw
        mov     si, STATE_BDA_FIRST
        mov     cx, STATE_BDA_SIZE
        rep movsb
        mov     al, [BDA_VIDEO_ROWS]
        inc     al
        stosb                           ; 22h rows
        mov     ax, [BDA_CHAR_HEIGHT]
        stosw                           ; 23h
        call    read_combination
        stosw                           ; 25h active and other adapter
        call    mode_colours
        stosw                           ; 27h colours; 0 = monochrome
        call    mode_pages
        stosb                           ; 29h pages
        call    lines_code
        stosb                           ; 2Ah 0–3: 200, 350, 400, 480 lines
        call    font_blocks
        stosw                           ; 2Bh fonts chosen by attribute bit 3 = 0 and 1
        call    state_flags
        stosb                           ; 2Dh
        xor     ax, ax
        stosw                           ; 2Eh
        stosb
        mov     al, STATE_MEMORY_256K
        stosb                           ; 31h
        mov     cx, STATE_SIZE - 32h
        mov     al, 0
        rep stosb
        ret

; AX = colours of the present mode.
mode_colours:
        movzx   si, byte [BDA_VIDEO_MODE]
        mov     al, [cs:.log2 + si]
        mov     cl, al
        mov     ax, 1
        shl     ax, cl
        and     ax, ~1                  ; monochrome: 0
        ret
.log2:
        db      4, 4, 4, 4, 2, 2, 1, 0, 0, 0, 0, 0, 0, 4, 4, 0, 4, 1, 4, 8

; AL = pages of the present mode that fit into the memory it shows.
mode_pages:
        call    text_segment
        mov     al, 1
        jc      .graphics
        mov     ax, TEXT_MEMORY_SIZE
        xor     dx, dx
        div     word [BDA_VIDEO_PAGE_SIZE]
        cmp     al, VIDEO_PAGES
        jbe     .restore
        mov     al, VIDEO_PAGES
.restore:
        mov     es, [bp + FRAME_ES]
        ret
.graphics:
        cmp     byte [BDA_VIDEO_MODE], MODE_FIRST_EGA
        jb      .restore
        movzx   si, byte [BDA_VIDEO_MODE]
        mov     al, [cs:.pages - MODE_FIRST_EGA + si]
        jmp     .restore
.pages:
        db      8, 4, 2, 2, 1, 1, 1     ; modes 0Dh–13h

; AL = 0–3: 200, 350, 400, 480 scan lines.
lines_code:
        mov     dx, VGA_MISC_READ
        in      al, dx
        shr     al, 6
        mov     ah, al
        mov     al, 3                   ; both polarities negative
        cmp     ah, 3
        je      .done
        mov     al, 1
        cmp     ah, 2
        je      .done
        mov     dx, [BDA_CRTC_PORT]
        mov     al, CRTC_MAX_SCAN_LINE
        out     dx, al
        inc     dx
        in      al, dx
        test    al, SCAN_DOUBLE
        mov     al, 0
        jnz     .done
        mov     al, 2
.done:
        ret

; AL, AH = fonts that attribute bit 3 = 0, 1 shows: sequencer register 3 holds them as bits 4, 1, 0 and 5, 3, 2.
font_blocks:
        mov     dx, VGA_SEQUENCER
        mov     al, SEQ_FONT_SELECT
        out     dx, al
        inc     dx
        in      al, dx
        mov     ah, al
        shr     ah, 2
        mov     dx, ax
        and     ax, 0303h
        shr     dl, 2
        shr     dh, 1
        and     dx, 0404h
        or      ax, dx
        ret

state_flags:
        mov     al, ATTRIBUTE_MODE
        call    read_attribute
        mov     ah, STATE_EVERY_DISPLAY
        test    al, ATTRIBUTE_MODE_BLINK
        jz      .steady
        or      ah, STATE_BLINK
.steady:
        mov     al, [BDA_VIDEO_FLAGS]
        and     al, FLAGS_GRAY_SUMMING | FLAGS_KEEP_PALETTE     ; the same bits in both bytes
        or      al, ah
        cmp     word [BDA_CRTC_PORT], CRTC_PORT_MONO
        jne     .colour
        or      al, STATE_MONO
.colour:
        test    byte [BDA_VIDEO_CONTROL], CONTROL_NO_EMULATION
        jnz     .done
        or      al, STATE_CURSOR_EMULATION
.done:
        ret
