; I: reads of the interrupt controller's mask. O: writes of it. N: reads of a port where nothing is.

        %include "frame.inc"

ROUNDS          equ 20_000
UNROLLED        equ 10
PIC_MASK        equ 21h
NOBODY          equ 22h

%macro measure 2+
        mark    %1
        mov     al, bl
        mov     ecx, ROUNDS
%%next:
        times UNROLLED %2
        dec     ecx
        jnz     %%next
%endmacro

        cli
        in      al, PIC_MASK
        mov     bl, al
        measure 'I', in al, PIC_MASK
        measure 'O', out PIC_MASK, al
        measure 'N', in al, NOBODY
        finish
