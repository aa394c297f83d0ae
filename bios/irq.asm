; Interrupts that nobody has taken over: exceptions, NMI, the FPU's error, unexpected IRQs.

; ---------------------------------------------------------------------------------------------------------
; Exceptions: without a handler of the guest's, returning would run into the same instruction for ever.
; ---------------------------------------------------------------------------------------------------------
divide_error:
        mov     si, .text
        jmp     fatal_exception
.text:  db      'Divide error', 0

invalid_opcode:
        mov     si, .text
        jmp     fatal_exception
.text:  db      'Invalid opcode', 0

no_fpu:
        mov     si, .text
        jmp     fatal_exception
.text:  db      'FPU instruction without an FPU', 0

; CS:SI = what happened; the stack holds IP, CS and flags. Says so and halts for good.
fatal_exception:
        mov     bp, sp
        cld
        print   13, 10
        call    print_string
        print   ' at '
        mov     ax, [bp + 2]
        call    print_hex16
        print   ':'
        mov     ax, [bp]
        call    print_hex16
        print   ', system halted', 13, 10
halt_for_ever:
        cli
        hlt
        jmp     halt_for_ever

; ---------------------------------------------------------------------------------------------------------
; INT 02h: NMI, and FPU errors that arrive through IRQ 13
; ---------------------------------------------------------------------------------------------------------
int02_handler:
        push    ax
        in      al, PORT_B
        test    al, PORT_B_PARITY | PORT_B_IOCHK
        pop     ax
        jnz     .hardware
        iret
.hardware:
        mov     si, .text
        jmp     fatal_exception
.text:  db      'Memory or bus error', 0

; INT 75h: the FPU reports an error. Programs for the 8087 expect it as an NMI.
irq13_handler:
        push    ax
        xor     al, al
        out     FPU_CLEAR_BUSY, al
        mov     al, PIC_EOI
        out     PIC2_COMMAND, al
        out     PIC1_COMMAND, al
        pop     ax
        int     02h
        iret

; ---------------------------------------------------------------------------------------------------------
; IRQs without an owner: acknowledge them, so that the others go on working
; ---------------------------------------------------------------------------------------------------------
irq_slave:
        push    ax
        mov     al, PIC_EOI
        out     PIC2_COMMAND, al
        jmp     irq_master.eoi
irq_master:
        push    ax
        mov     al, PIC_EOI
.eoi:
        out     PIC1_COMMAND, al
        pop     ax
        iret

; IRQ 9 is the AT's stand-in for the PC's IRQ 2.
irq9_handler:
        push    ax
        mov     al, PIC_EOI
        out     PIC2_COMMAND, al
        pop     ax
        int     0Ah                     ; acknowledges PIC 1
        iret

; IRQ 7 and 15 also arrive when another request vanished too early; then nothing is in service, and no EOI is due.
irq7_handler:
        push    ax
        mov     al, PIC_READ_ISR
        out     PIC1_COMMAND, al
        in      al, PIC1_COMMAND
        test    al, 80h
        pop     ax
        jnz     irq_master
        iret

irq15_handler:
        push    ax
        mov     al, PIC_READ_ISR
        out     PIC2_COMMAND, al
        in      al, PIC2_COMMAND
        test    al, 80h
        pop     ax
        jnz     irq_slave
        jmp     irq_master              ; PIC 1 has seen a real request of its cascade
