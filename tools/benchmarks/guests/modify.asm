; M: a program that writes the number of each INT into its code before it executes it. K: one that makes the
; code on its stack, as int86() of DOS compilers does, and goes on using that stack. S: stores to data that shares its page with code, as in programs of the tiny model.

        %include "frame.inc"

ROUNDS          equ 20_000
FIRST           equ 60h
SECOND          equ 61h

        cli
        mov     word [FIRST * 4], handler
        mov     word [FIRST * 4 + 2], 0
        mov     word [SECOND * 4], handler
        mov     word [SECOND * 4 + 2], 0
        mark    'M'
        mov     ecx, ROUNDS
.next:
        mov     al, FIRST
        call    software_interrupt
        mov     al, SECOND
        call    software_interrupt
        dec     ecx
        jnz     .next
        mark    'K'
        mov     ecx, ROUNDS
.made:
        mov     al, FIRST
        call    interrupt_on_stack
        mov     al, SECOND
        call    interrupt_on_stack
        dec     ecx
        jnz     .made
        mark    'S'
        mov     ecx, ROUNDS * 2
.store:
        mov     [data], cx
        call    nothing
        dec     ecx
        jnz     .store
        finish

software_interrupt:
        mov     [.number], al
        jmp     .go                     ; as the manuals of the 386 ask for
.go:
        db      0CDh
.number:
        db      0
        ret

interrupt_on_stack:
        push    bp
        mov     bp, sp
        sub     sp, 6
        mov     byte [bp - 6], 0CDh     ; INT AL
        mov     [bp - 5], al
        mov     byte [bp - 4], 0CBh     ; RETF
        push    cs
        push    word .back
        lea     bx, [bp - 6]
        push    ss
        push    bx
        retf
.back:
        mov     sp, bp
        pop     bp
        ret

handler:
        iret

nothing:
        ret

data:   dw      0
