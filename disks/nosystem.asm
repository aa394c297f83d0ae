; The code in the boot sector of a volume without a system: says so, and lets the BIOS try the next disk.
;
; It stands behind the longest of the tables that describe a volume, FAT32's. `tools/build_disk.py` builds
; nosystem.bin.

        bits    16
        cpu     8086
        org     7C5Ah

        xor     ax, ax
        mov     ds, ax
        cld
        mov     si, text
.next:
        lodsb
        test    al, al
        jz      .end
        mov     ah, 0Eh
        mov     bx, 7
        int     10h
        jmp     .next
.end:
        int     18h

text            db      'This disk has no system to start.', 13, 10, 0
