; INT 10h: questions about the adapter and its switches (12h), display combination (1Ah), state (1Bh),
; save and restore (1Ch).

SEQ_CLOCKING_MODE       equ 1
CLOCKING_SCREEN_OFF     equ 20h
SUPPORTED_12H           equ 12h
SUPPORTED_1AH           equ 1Ah
SUPPORTED_1BH           equ 1Bh
SUPPORTED_1CH           equ 1Ch

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

; ---------------------------------------------------------------------------------------------------------
; 1Ch: CX = parts (SAVE_*): AL = 0 -> BX = blocks of 64 bytes; 1: save to ES:BX; 2: restore from ES:BX.
; The parts follow each other in the buffer, padded to whole blocks.
; ---------------------------------------------------------------------------------------------------------
SAVE_HARDWARE           equ 01h
SAVE_BDA                equ 02h
SAVE_DAC                equ 04h

; Hardware: a block of the parameter table (its registers, PARAM_SEQUENCER to the end) with these around it.
; The latches are not saved.
HARDWARE_SEQ_INDEX      equ 00h
HARDWARE_CRTC_INDEX     equ 01h
HARDWARE_GRAPHICS_INDEX equ 02h
HARDWARE_ATTR_INDEX     equ 03h
HARDWARE_FEATURE        equ 04h
HARDWARE_CRTC_PORT      equ 40h         ; word
HARDWARE_SIZE           equ 80h
; BDA: the fields of `bda_spans`, INT 1Fh, INT 43h
BDA_PART_SIZE           equ 40h
; DAC
DAC_STATE               equ 00h
DAC_INDEX               equ 01h
DAC_MASK                equ 02h
DAC_COLOURS             equ 03h
DAC_COLOUR_SELECT       equ 303h        ; attribute register 14h
DAC_PART_SIZE           equ 340h

VGA_FEATURE_READ        equ 3CAh

; part SAVE_BDA, address, size: run it when CX asks for that part, and step BX over its place in the buffer
%macro part 3
        test    byte [bp + FRAME_CL], %1
        jz      %%skip
        call    %2
        add     bx, %3
%%skip:
%endmacro

video_save_restore:
        cmp     al, 2
        ja      video_ignored
        mov     byte [bp + FRAME_AL], SUPPORTED_1CH
        je      .restore
        cmp     al, 0
        je      .size
        part    SAVE_HARDWARE, save_hardware, HARDWARE_SIZE
        part    SAVE_BDA, save_bda, BDA_PART_SIZE
        part    SAVE_DAC, save_dac, DAC_PART_SIZE
        ret
.restore:
        part    SAVE_HARDWARE, restore_hardware, HARDWARE_SIZE
        part    SAVE_BDA, restore_bda, BDA_PART_SIZE
        part    SAVE_DAC, restore_dac, DAC_PART_SIZE
        ret
.size:
        mov     bx, 0
        part    SAVE_HARDWARE, video_ignored, HARDWARE_SIZE
        part    SAVE_BDA, video_ignored, BDA_PART_SIZE
        part    SAVE_DAC, video_ignored, DAC_PART_SIZE
        shr     bx, 6
        mov     [bp + FRAME_BX], bx
        ret

; Each part: ES:BX -> its place in the buffer. Clobbers all but BP, BX, DS, ES.
save_hardware:
        mov     dx, VGA_SEQUENCER
        in      al, dx
        mov     [es:bx + HARDWARE_SEQ_INDEX], al
        mov     dx, [BDA_CRTC_PORT]
        mov     [es:bx + HARDWARE_CRTC_PORT], dx
        in      al, dx
        mov     [es:bx + HARDWARE_CRTC_INDEX], al
        mov     dx, VGA_GRAPHICS
        in      al, dx
        mov     [es:bx + HARDWARE_GRAPHICS_INDEX], al
        mov     dx, VGA_ATTRIBUTE
        in      al, dx
        mov     [es:bx + HARDWARE_ATTR_INDEX], al
        mov     dx, VGA_FEATURE_READ
        in      al, dx
        mov     [es:bx + HARDWARE_FEATURE], al

        lea     di, [bx + PARAM_SEQUENCER]
        mov     dx, VGA_SEQUENCER
        mov     cx, SEQUENCER_REGISTERS
        mov     ah, 1
        call    .read_indexed
        mov     dx, VGA_MISC_READ
        in      al, dx
        stosb
        mov     dx, [BDA_CRTC_PORT]
        mov     cx, CRTC_REGISTERS
        mov     ah, 0
        call    .read_indexed
        mov     cx, ATTRIBUTE_REGISTERS
        mov     ah, 0
.attribute:
        mov     al, ah
        call    read_attribute
        stosb
        inc     ah
        loop    .attribute
        mov     dx, VGA_GRAPHICS
        mov     cx, GRAPHICS_REGISTERS
        mov     ah, 0
        call    .read_indexed
        jmp     restore_indexes

; CX registers from number AH on: index port DX, values to ES:DI.
.read_indexed:
        mov     al, ah
        out     dx, al
        inc     dx
        in      al, dx
        dec     dx
        stosb
        inc     ah
        loop    .read_indexed
        ret

restore_hardware:
        mov     si, bx
        push    bx
        call    program_registers
        pop     bx
        mov     dx, [es:bx + HARDWARE_CRTC_PORT]
        add     dx, CRTC_TO_STATUS      ; written, this port is the feature control register
        mov     al, [es:bx + HARDWARE_FEATURE]
        out     dx, al
restore_indexes:
        mov     dx, VGA_SEQUENCER
        mov     al, [es:bx + HARDWARE_SEQ_INDEX]
        out     dx, al
        mov     dx, [es:bx + HARDWARE_CRTC_PORT]
        mov     al, [es:bx + HARDWARE_CRTC_INDEX]
        out     dx, al
        mov     dx, VGA_GRAPHICS
        mov     al, [es:bx + HARDWARE_GRAPHICS_INDEX]
        out     dx, al
        call    attribute_index_next
        mov     al, [es:bx + HARDWARE_ATTR_INDEX]
        out     dx, al
        jmp     attribute_index_next

; The video fields of the BDA: first, size
bda_spans:
        db      BDA_VIDEO_MODE, BDA_VIDEO_PALETTE + 1 - BDA_VIDEO_MODE
        db      BDA_VIDEO_ROWS, BDA_VIDEO_DCC + 1 - BDA_VIDEO_ROWS
        db      BDA_VIDEO_SAVE_PTR, 4
BDA_SPANS               equ ($ - bda_spans) / 2

save_bda:
        mov     di, bx
        mov     ax, bda_spans
        mov     dx, BDA_SPANS
.span:
        xchg    ax, bx
        movzx   si, byte [cs:bx]
        movzx   cx, byte [cs:bx + 1]
        xchg    ax, bx
        add     ax, 2
        rep movsb
        dec     dx
        jnz     .span
        load_seg ds, IVT_SEG
        mov     eax, [1Fh * 4]
        stosd
        mov     eax, [43h * 4]
        stosd
        load_seg ds, BDA_SEG
        ret

restore_bda:
        mov     si, bx
        push    bx
        mov     bx, bda_spans
        mov     dx, BDA_SPANS
.span:
        movzx   di, byte [cs:bx]
        movzx   cx, byte [cs:bx + 1]
        add     bx, 2
.byte:
        mov     al, [es:si]
        mov     [di], al
        inc     si
        inc     di
        loop    .byte
        dec     dx
        jnz     .span
        load_seg ds, IVT_SEG
        mov     eax, [es:si]
        mov     [1Fh * 4], eax
        mov     eax, [es:si + 4]
        mov     [43h * 4], eax
        load_seg ds, BDA_SEG
        pop     bx
        ret

save_dac:
        mov     dx, VGA_DAC_READ_INDEX
        in      al, dx                  ; read, this port is the DAC's state
        mov     [es:bx + DAC_STATE], al
        mov     dx, VGA_DAC_WRITE_INDEX
        in      al, dx
        mov     [es:bx + DAC_INDEX], al
        mov     dx, VGA_PEL_MASK
        in      al, dx
        mov     [es:bx + DAC_MASK], al
        mov     al, ATTRIBUTE_COLOUR_SELECT
        call    read_attribute
        mov     [es:bx + DAC_COLOUR_SELECT], al
        lea     di, [bx + DAC_COLOURS]
        push    bx
        mov     bx, 0
        mov     cx, 256
        call    read_dac
        pop     bx
        ret

restore_dac:
        mov     dx, VGA_PEL_MASK
        mov     al, [es:bx + DAC_MASK]
        out     dx, al
        mov     al, ATTRIBUTE_COLOUR_SELECT
        mov     ah, [es:bx + DAC_COLOUR_SELECT]
        call    write_attribute
        push    ds
        push    bx
        push    es
        pop     ds
        lea     si, [bx + DAC_COLOURS]
        mov     bx, 0
        mov     cx, 256
        call    write_dac
        pop     bx
        pop     ds
        mov     dx, VGA_DAC_WRITE_INDEX
        mov     al, [es:bx + DAC_INDEX]
        out     dx, al
        ret
