; INT 10h AH=1Ch: save and restore the video state.
;
; CX = parts (SAVE_*): AL = 0 -> BX = blocks of 64 bytes; 1: save to ES:BX; 2: restore from ES:BX.
; The parts follow each other in the buffer, padded to whole blocks.

SUPPORTED_1CH           equ 1Ch
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
