; R: REQUESTS reads of 127 sectors each (INT 13h AH=42h). W: writes of as much, over the same sectors.

        %include "frame.inc"

REQUEST_SECTORS equ 127                 ; the most that every BIOS takes
FIRST_SECTOR    equ 64
BUFFER_SEGMENT  equ 1000h
EDD_READ        equ 42h
EDD_WRITE       equ 43h

        sti
        mark    'R'
        mov     bx, EDD_READ << 8
        call    transfer
        mark    'W'
        mov     bx, EDD_WRITE << 8
        call    transfer
        finish

; BX = the function, with its AL
transfer:
        mov     dword [packet.sector], FIRST_SECTOR
        mov     cx, REQUESTS
.next:
        mov     word [packet.count], REQUEST_SECTORS
        mov     ax, bx
        mov     dl, BOOT_DRIVE
        mov     si, packet
        int     13h
        jc      give_up
        add     dword [packet.sector], REQUEST_SECTORS
        loop    .next
        ret

packet:
        dw      10h
.count: dw      0
        dw      0, BUFFER_SEGMENT
.sector:
        dq      0
