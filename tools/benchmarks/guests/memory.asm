; L: a loop of load, add to memory, push and pop. U: the same unrolled, several blocks long.
; R: a loop that stays in registers. Code, data and stack have pages of their own.

        %include "frame.inc"

LOOP_ROUNDS     equ 2_000_000           ; of 6 instructions
UNROLL          equ 16
UNROLLED_ROUNDS equ LOOP_ROUNDS * 6 / (UNROLL * 4 + 2)
REGISTER_ROUNDS equ 2_000_000           ; of 6 instructions
DATA_SEGMENT    equ 1000h
STACK_SEGMENT   equ 2000h

%macro work 0
        mov     eax, [100h]
        add     [200h], eax
        push    eax
        pop     edx
%endmacro

        cli
        mov     ax, DATA_SEGMENT
        mov     ds, ax
        mov     ax, STACK_SEGMENT
        mov     ss, ax
        mov     sp, 1000h

        mark    'L'
        mov     ecx, LOOP_ROUNDS
.loop:
        work
        dec     ecx
        jnz     .loop

        mark    'U'
        mov     ecx, UNROLLED_ROUNDS
.unrolled:
%rep UNROLL
        work
%endrep
        dec     ecx
        jnz     .unrolled

        mark    'R'
        mov     ecx, REGISTER_ROUNDS
.registers:
        add     eax, ecx
        xor     edx, eax
        lea     ebx, [eax + edx]
        sub     esi, ebx
        dec     ecx
        jnz     .registers
        finish
