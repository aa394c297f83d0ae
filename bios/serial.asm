; INT 14h (serial ports) and INT 17h (printers).

; ---------------------------------------------------------------------------------------------------------
; INT 14h: DX = port 0–3. Results: AH = line status, AL = modem status or data
; ---------------------------------------------------------------------------------------------------------
COM_TIMEOUT             equ 80h         ; in AH
TOGGLES_PER_SECOND      equ 1000000000 / 15085

int14_handler:
        sti
        int_enter
        load_seg ds, BDA_SEG
        mov     si, dx
        cmp     si, 4
        jae     .absent
        add     si, si
        mov     di, [BDA_COM_PORTS + si]
        test    di, di
        jz      .absent
        shr     si, 1                   ; SI = port number, DI = base port
        cmp     ah, int14_functions.count
        jae     .done
        movzx   bx, ah
        add     bx, bx
        call    [cs:int14_functions + bx]
.done:
        int_leave
.absent:
        mov     byte [bp + FRAME_AH], COM_TIMEOUT
        int_leave

int14_functions:
        dw      com_init, com_send, com_receive, com_status, com_init_extended, com_modem
.count  equ     ($ - int14_functions) / 2

; AH=00h: AL = rate (bits 5–7), parity (3–4), stop bits (2), word length (0–1).
com_init:
        mov     cl, al
        movzx   bx, al
        shr     bx, 5
        add     bx, bx
        mov     bx, [cs:baud_divisors + bx]
        and     cl, 1Fh                 ; laid out as in the line control register
        jmp     com_set_line

; AH=04h: AL = break, BH = parity (0 none, 1 odd, 2 even, 3 odd stick, 4 even stick), BL = stop bits, CH = word length, CL = rate.
com_init_extended:
        mov     bx, [bp + FRAME_BX]
        cmp     bh, com_parities.count
        jae     com_status
        cmp     cl, com_fast_divisors.count
        jae     com_status
        and     al, 1
        shl     al, 6                   ; break
        and     bl, 1
        shl     bl, 2                   ; stop bits
        or      al, bl
        and     ch, 3
        or      al, ch
        movzx   si, bh
        or      al, [cs:com_parities + si]
        movzx   si, cl
        add     si, si
        mov     bx, [cs:com_fast_divisors + si]
        mov     cl, al

; Set the divisor BX and the line control CL.
com_set_line:
        lea     dx, [di + UART_LCR]
        mov     al, cl
        or      al, UART_LCR_DLAB
        out     dx, al
        lea     dx, [di + UART_DATA]
        mov     al, bl
        out     dx, al
        inc     dx
        mov     al, bh
        out     dx, al
        lea     dx, [di + UART_LCR]
        mov     al, cl
        out     dx, al
        lea     dx, [di + UART_IER]
        xor     al, al
        out     dx, al

; AH=03h: AH = line status, AL = modem status.
com_status:
        lea     dx, [di + UART_LSR]
        in      al, dx
        mov     [bp + FRAME_AH], al
        inc     dx
        in      al, dx
        mov     [bp + FRAME_AL], al
        ret

com_parities:                           ; bits 3–5 of the line control register
        db      00h, 08h, 18h, 28h, 38h
.count  equ     $ - com_parities
com_fast_divisors:                      ; 110 to 115 200 baud
        dw      1047, 768, 384, 192, 96, 48, 24, 12, 6, 3, 2, 1
.count  equ     ($ - com_fast_divisors) / 2

; AH=01h: send AL. AH = line status, with COM_TIMEOUT when the other side is not ready.
com_send:
        mov     ch, al
        lea     dx, [di + UART_MCR]
        mov     al, UART_MCR_DTR | UART_MCR_RTS
        out     dx, al
        lea     dx, [di + UART_MSR]
        mov     cl, UART_MSR_DSR | UART_MSR_CTS
        call    com_wait
        jc      com_timed_out
        lea     dx, [di + UART_LSR]
        mov     cl, UART_LSR_THRE
        call    com_wait
        jc      com_timed_out
        mov     [bp + FRAME_AH], al
        lea     dx, [di + UART_DATA]
        mov     al, ch
        out     dx, al
        ret

; AH=02h: AL = the next byte. AH = its errors, with COM_TIMEOUT when none came.
com_receive:
        lea     dx, [di + UART_MCR]
        mov     al, UART_MCR_DTR
        out     dx, al
        lea     dx, [di + UART_MSR]
        mov     cl, UART_MSR_DSR
        call    com_wait
        jc      com_timed_out
        lea     dx, [di + UART_LSR]
        mov     cl, UART_LSR_DR
        call    com_wait
        jc      com_timed_out
        and     al, 1Eh                 ; overrun, parity, framing, break
        mov     [bp + FRAME_AH], al
        lea     dx, [di + UART_DATA]
        in      al, dx
        mov     [bp + FRAME_AL], al
        ret

com_timed_out:
        or      al, COM_TIMEOUT
        mov     [bp + FRAME_AH], al
        ret

; AH=05h: AL=00h BL = modem control, AL=01h set it to BL.
com_modem:
        lea     dx, [di + UART_MCR]
        cmp     al, 1
        ja      com_status
        je      .set
        in      al, dx
        mov     [bp + FRAME_BL], al
        jmp     com_status
.set:
        mov     al, [bp + FRAME_BL]
        and     al, 1Fh
        out     dx, al
        jmp     com_status

; Wait until all bits CL of the port DX are set, for the seconds in COM port SI's time-out. AL = what was read last;
; CF = in vain. AH is lost.
com_wait:
        movzx   eax, byte [BDA_COM_TIMEOUT + si]

; The same with EAX seconds.
wait_bits:
        push    ebx
        imul    ebx, eax, TOGGLES_PER_SECOND
.next:
        in      al, PORT_B              ; its refresh bit is a clock that needs no interrupts
        and     al, PORT_B_REFRESH
        cmp     al, ah
        mov     ah, al
        je      .look
        sub     ebx, 1
        jc      .expired
.look:
        in      al, dx
        not     al
        test    al, cl
        jnz     .next
        not     al
        clc
.done:
        pop     ebx
        ret
.expired:
        in      al, dx
        stc
        jmp     .done

; ---------------------------------------------------------------------------------------------------------
; INT 17h: DX = printer 0–2. AH=00h print AL, 01h reset the printer, 02h nothing; result: AH = status
; ---------------------------------------------------------------------------------------------------------
LPT_STATUS              equ 1           ; registers, offsets from the base port
LPT_CONTROL             equ 2
LPT_STATUS_READY        equ 80h         ; not busy
LPT_STATUS_FLIP         equ 48h         ; acknowledge and I/O error are low when true
LPT_STATUS_MASK         equ 0F8h
LPT_CONTROL_STROBE      equ 01h
LPT_CONTROL_RUN         equ 0Ch         ; selected, not reset
LPT_CONTROL_RESET       equ 08h
LPT_TIMED_OUT           equ 01h         ; in AH
LPT_RESET_TOGGLES       equ 4           ; 60 µs

int17_handler:
        sti
        int_enter
        load_seg ds, BDA_SEG
        mov     si, dx
        cmp     si, 3
        jae     .absent
        add     si, si
        mov     di, [BDA_LPT_PORTS + si]
        test    di, di
        jz      .absent
        shr     si, 1                   ; SI = printer number, DI = base port
        cmp     ah, 2
        ja      .done
        je      .status
        cmp     ah, 1
        je      .reset
        call    lpt_print
        jc      .timed_out
.status:
        call    lpt_status
.done:
        int_leave
.reset:
        lea     dx, [di + LPT_CONTROL]
        mov     al, LPT_CONTROL_RESET
        out     dx, al
        mov     eax, LPT_RESET_TOGGLES
        call    delay_toggles
        mov     al, LPT_CONTROL_RUN
        out     dx, al
        jmp     .status
.timed_out:
        call    lpt_status
        or      byte [bp + FRAME_AH], LPT_TIMED_OUT
        int_leave
.absent:
        mov     byte [bp + FRAME_AH], LPT_TIMED_OUT
        int_leave

lpt_status:
        lea     dx, [di + LPT_STATUS]
        in      al, dx
        xor     al, LPT_STATUS_FLIP
        and     al, LPT_STATUS_MASK
        mov     [bp + FRAME_AH], al
        ret

; Print AL; CF = the printer stays busy.
lpt_print:
        mov     dx, di
        out     dx, al
        inc     dx                      ; LPT_STATUS
        mov     cl, LPT_STATUS_READY
        movzx   eax, byte [BDA_LPT_TIMEOUT + si]
        call    wait_bits
        jc      .done
        inc     dx                      ; LPT_CONTROL
        mov     al, LPT_CONTROL_RUN | LPT_CONTROL_STROBE
        out     dx, al
        mov     al, LPT_CONTROL_RUN
        out     dx, al
        clc
.done:
        ret
