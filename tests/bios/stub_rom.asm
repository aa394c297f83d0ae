; The smallest ROM around bios/disk.asm: a power-on that only finds the disks and loads the boot sector.
; It lets the disk code run on another PC emulator, without the rest of the BIOS.

        bits    16
        cpu     486
        org     0

%include "equates.inc"

        db      'stub ROM'

%include "disk.asm"
%include "cmos.asm"

start:
        cli
        cld
        load_seg ss, IVT_SEG
        mov     sp, BOOT_OFFSET
        load_seg es, IVT_SEG            ; all vectors: IRET; BIOS data area: zeros
        xor     di, di
        mov     cx, 256
.vector:
        mov     ax, return
        stosw
        mov     ax, ROM_SEG
        stosw
        loop    .vector
        mov     cx, 80h
        xor     ax, ax
        rep     stosw
        call    disk_init
        load_seg es, IVT_SEG
        mov     bx, BOOT_OFFSET
        mov     ax, 0201h
        mov     cx, 1
        mov     dx, 80h
        int     13h
        jc      halt
        jmp     IVT_SEG:BOOT_OFFSET
halt:
        hlt
        jmp     halt
return:
        iret

        fixed_at 0FFF0h
        jmp     ROM_SEG:start
        fixed_at 10000h
