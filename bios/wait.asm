; Waiting for a length of time: INT 15h AH=83h and AH=86h, and short delays without interrupts.
;
; The two INT 15h functions count periodic interrupts of the RTC, 1024 in a second. BDA_WAIT_COUNT holds the
; microseconds left; the interrupt that takes it below zero sets bit 7 of the byte at BDA_WAIT_FLAG_PTR. So a wait
; is never shorter than asked for, and at most two periods longer.

RTC_PERIOD_US           equ 976
REFRESH_TOGGLE_NS       equ 15085       ; PORT_B_REFRESH changes each 18 counts of the PIT

; ---------------------------------------------------------------------------------------------------------
; INT 15h AH=83h: AL=00h set the high bit of the byte ES:BX in CX:DX µs; AL=01h forget it
; ---------------------------------------------------------------------------------------------------------
system_event_wait:
        cmp     al, 1
        je      .cancel
        ja      system_unsupported
        call    wait_start
        jc      wait_busy
        ret
.cancel:
        jmp     wait_stop

wait_busy:
        mov     byte [bp + FRAME_AH], 83h
        cf_set
        ret

; ---------------------------------------------------------------------------------------------------------
; INT 15h AH=86h: return after CX:DX µs
; ---------------------------------------------------------------------------------------------------------
system_wait:
        test    byte [BDA_WAIT_ACTIVE], WAIT_ACTIVE
        jnz     wait_busy
        call    rtc_irq_blocked
        jnz     .poll
        load_seg es, BDA_SEG
        mov     bx, BDA_WAIT_ACTIVE     ; its own WAIT_DONE bit is the flag
        call    wait_start
.sleep:
        sti
        hlt                             ; the timer and the RTC wake it
        cli
        test    byte [BDA_WAIT_ACTIVE], WAIT_DONE
        jz      .sleep
        and     byte [BDA_WAIT_ACTIVE], ~WAIT_DONE & 0FFh
        ret

.poll:                                  ; called by an interrupt handler that keeps IRQ 8 waiting
        mov     ax, cx
        shl     eax, 16
        mov     ax, dx
        mov     ecx, 1000
        mul     ecx
        mov     ecx, REFRESH_TOGGLE_NS
        div     ecx                     ; at most 2^32 * 1000 / 15085: fits
        inc     eax
        jmp     delay_toggles

; NZ = an interrupt is in service that keeps IRQ 8 from being delivered.
rtc_irq_blocked:
        push    ax
        mov     al, PIC_READ_ISR
        out     PIC2_COMMAND, al
        out     PIC1_COMMAND, al
        in      al, PIC2_COMMAND
        mov     ah, al
        in      al, PIC1_COMMAND
        and     ax, 0107h               ; IRQ 8; IRQ 0, 1 and the cascade
        pop     ax
        ret

; Begin to count CX:DX µs down; ES:BX = the flag. CF = another wait is under way. AH of the frame = 0.
wait_start:
        cli
        test    byte [BDA_WAIT_ACTIVE], WAIT_ACTIVE
        jnz     .busy
        mov     [BDA_WAIT_FLAG_PTR], bx
        mov     [BDA_WAIT_FLAG_PTR + 2], es
        mov     [BDA_WAIT_COUNT], dx
        mov     [BDA_WAIT_COUNT + 2], cx
        add     dword [BDA_WAIT_COUNT], RTC_PERIOD_US   ; a period that ended long ago still waits to be reported
        jnc     .counting
        mov     dword [BDA_WAIT_COUNT], -1
.counting:
        mov     byte [BDA_WAIT_ACTIVE], WAIT_ACTIVE
        in      al, PIC2_DATA
        and     al, ~1 & 0FFh           ; IRQ 8 may have been masked
        out     PIC2_DATA, al
        mov     ah, RTC_B_PIE
        call    rtc_set_b
        clc
        ret
.busy:
        stc
        ret

wait_stop:
        mov     ah, ~RTC_B_PIE & 0FFh
        call    rtc_clear_b
        mov     byte [BDA_WAIT_ACTIVE], 0
        ret

; Called by INT 70h for each period; DS = BDA. Loses EAX and SI.
wait_tick:
        test    byte [BDA_WAIT_ACTIVE], WAIT_ACTIVE
        jz      .done
        sub     dword [BDA_WAIT_COUNT], RTC_PERIOD_US
        jnc     .done
        call    wait_stop
        push    es
        les     si, [BDA_WAIT_FLAG_PTR]
        or      byte [es:si], WAIT_DONE
        pop     es
.done:
        ret

; ---------------------------------------------------------------------------------------------------------
; Delays that work with interrupts off
; ---------------------------------------------------------------------------------------------------------
; Wait for EAX changes of the memory refresh bit, 15 µs each.
delay_toggles:
        push    eax
        push    ebx
        mov     ebx, eax
        in      al, PORT_B
        and     al, PORT_B_REFRESH
        mov     ah, al
.next:
        in      al, PORT_B
        and     al, PORT_B_REFRESH
        cmp     al, ah
        je      .next
        mov     ah, al
        dec     ebx
        jnz     .next
        pop     ebx
        pop     eax
        ret
