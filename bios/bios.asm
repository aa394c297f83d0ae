; pcemu's BIOS: 64 KiB of ROM at F0000h–FFFFFh.
;
; The code of all modules lies at the bottom. From E05Bh on come the offsets that programs for the IBM PC
; may rely on; most of them only jump to the code below. `tools/build_rom.py` assembles this file and
; sets the last byte so that all bytes add up to 0 (mod 256).

        bits    16
        cpu     486
        org     0

%include "equates.inc"

rom_start:
        db      'pcemu BIOS', 0

%include "print.asm"
%include "post.asm"
%include "irq.asm"
%include "system.asm"
%include "memory.asm"
%include "clock.asm"
%include "wait.asm"
%include "kbc.asm"
%include "keyboard.asm"
%include "keytable.asm"
%include "int16.asm"
%include "printscreen.asm"
%include "serial.asm"
%include "boot.asm"
%include "video.asm"
%include "disk.asm"

        align   16, db 0FFh
font_8x16:
        incbin  "font8x16.bin"          ; 256 glyphs of 16 lines
font_8x14:
        incbin  "font8x14.bin"
font_8x8:
        incbin  "font8x8.bin"
code_end:

; ---------------------------------------------------------------------------------------------------------
; Compatible entry points
; ---------------------------------------------------------------------------------------------------------
        fixed_at 0E05Bh
        jmp     post

        fixed_at 0E2C3h
        jmp     int02_handler

        fixed_at 0E3FEh
        jmp     int13_handler

        fixed_at 0E6F2h
        jmp     int19_handler

        fixed_at 0E6F5h
config_table:                           ; INT 15h AH=C0h
        dw      config_table_end - $ - 2
        db      MODEL_AT, 1, 0          ; model, submodel, revision
        db      CONFIG1_PIC2 | CONFIG1_RTC | CONFIG1_KBD_INTERCEPT | CONFIG1_EBDA
        db      CONFIG2_INT16_09
        db      0, 0, 0
config_table_end:

        fixed_at 0E729h
baud_divisors:                          ; INT 14h AH=00h: 115 200 / rate
        dw      1047, 768, 384, 192, 96, 48, 24, 12

        fixed_at 0E739h
        jmp     int14_handler

        fixed_at 0E82Eh
        jmp     int16_handler

        fixed_at 0E987h
        jmp     int09_handler

        fixed_at 0EFC7h
floppy_parameters:                      ; INT 1Eh: a 1.44 MB drive's, for programs that read them unasked
        db      0AFh, 02h, 25h, 2, 18, 1Bh, 0FFh, 6Ch, 0F6h, 0Fh, 08h

        fixed_at 0EFD2h
        jmp     int17_handler

        fixed_at 0F045h
        jmp     int10_handler

        fixed_at 0F065h
        jmp     int10_handler

        fixed_at 0F841h
        jmp     int12_handler

        fixed_at 0F84Dh
        jmp     int11_handler

        fixed_at 0F859h
        jmp     int15_handler

        fixed_at 0FA6Eh                 ; glyphs 0–127 for the graphics modes of CGA programs
        incbin  "font8x8.bin", 0, 128 * 8

        fixed_at 0FE6Eh
        jmp     int1a_handler

        fixed_at 0FEA5h
        jmp     int08_handler

        fixed_at 0FF53h
dummy_iret:
        iret

        fixed_at 0FF54h
        jmp     int05_handler

        fixed_at 0FFF0h                 ; where the CPU starts after a reset
        jmp     ROM_SEG:post

        fixed_at 0FFF5h
        db      '11/22/26'              ; the date of this BIOS: part of the compatible layout, changed by hand

        fixed_at 0FFFEh
        db      MODEL_AT
        db      0                       ; checksum, set by tools/build_rom.py
