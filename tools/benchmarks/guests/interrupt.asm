; A: software interrupts to a handler that returns at once.

        %include "frame.inc"

COUNT           equ 200_000
VECTOR          equ 60h

        cli
        mov     word [VECTOR * 4], handler
        mov     word [VECTOR * 4 + 2], 0
        mov     ecx, COUNT
        mark    'A'
.next:
        int     VECTOR
        dec     ecx
        jnz     .next
        finish

handler:
        iret
