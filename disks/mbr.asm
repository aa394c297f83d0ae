; The master boot record of disks that pcemu makes: starts the active partition's boot sector.
;
; Loaded to 0000:7C00 with DL = drive. It moves out of the way, reads the first sector of the active partition
; to 0000:7C00, by sector number where INT 13h has that, and jumps there with DL = drive and DS:SI = BP = the
; partition's entry. `tools/build_disk.py` builds mbr.bin: the code alone, up to the partition table.

        bits    16
        cpu     8086
        org     0600h

BOOT                    equ 7C00h
SIGNATURE               equ 0AA55h
TABLE                   equ 0600h + 446
ENTRY_SIZE              equ 16
ACTIVE                  equ 80h
ENTRY_CHS               equ 1           ; head, then sector and cylinder as INT 13h takes them in CX
ENTRY_LBA               equ 8

        cli
        xor     ax, ax
        mov     ss, ax
        mov     sp, BOOT
        mov     ds, ax
        mov     es, ax
        sti
        cld
        mov     si, BOOT
        mov     di, 0600h
        mov     cx, 256
        rep     movsw
        jmp     0:find
find:
        mov     bp, TABLE
        mov     cx, 4
.next:
        cmp     byte [bp], ACTIVE
        je      load
        add     bp, ENTRY_SIZE
        loop    .next
        mov     si, none
        jmp     say

load:
        mov     [drive], dl
        mov     ah, 41h                 ; are there functions that take sector numbers?
        mov     bx, 55AAh
        int     13h
        jc      .chs
        cmp     bx, SIGNATURE
        jne     .chs
        test    cl, 1
        jz      .chs
        xor     ax, ax                  ; the packet, from its end: sector (8 bytes), address, count, size
        push    ax
        push    ax
        push    word [bp + ENTRY_LBA + 2]
        push    word [bp + ENTRY_LBA]
        push    ax
        mov     ax, BOOT
        push    ax
        mov     ax, 1
        push    ax
        mov     al, 16
        push    ax
        mov     si, sp
        mov     dl, [drive]
        mov     ah, 42h
        int     13h
        mov     sp, BOOT
        jnc     start
.chs:
        mov     dl, [drive]
        mov     dh, [bp + ENTRY_CHS]
        mov     cx, [bp + ENTRY_CHS + 1]
        mov     bx, BOOT
        mov     ax, 0201h
        int     13h
        mov     si, unreadable
        jc      say
start:
        mov     si, empty
        cmp     word [BOOT + 510], SIGNATURE
        jne     say
        mov     dl, [drive]
        mov     si, bp
        jmp     0:BOOT

say:
        lodsb
        test    al, al
        jz      .end
        mov     ah, 0Eh
        mov     bx, 7
        int     10h
        jmp     say
.end:
        int     18h                     ; the BIOS tries the next disk

none            db      'No partition of this disk is active.', 13, 10, 0
unreadable      db      'The active partition cannot be read.', 13, 10, 0
empty           db      'The active partition has no boot sector.', 13, 10, 0
drive           db      0

%if $ - $$ > 440
  %error "the code reaches into the disk's signature"
%endif
