; Time: INT 08h (timer tick), INT 1Ah (tick count and RTC), INT 70h (the RTC's interrupt), CMOS access.

; ---------------------------------------------------------------------------------------------------------
; INT 08h: IRQ 0, 18.2 times a second
; ---------------------------------------------------------------------------------------------------------
int08_handler:
        push    ax
        push    dx                      ; programs that hook INT 1Ch rely on AX, DX and DS being saved
        push    ds
        load_seg ds, BDA_SEG
        inc     dword [BDA_TICKS]
        cmp     dword [BDA_TICKS], TICKS_PER_DAY
        jb      .same_day
        mov     dword [BDA_TICKS], 0
        inc     byte [BDA_MIDNIGHT]
.same_day:
        cmp     byte [BDA_FLOPPY_TIMEOUT], 0
        je      .motors_done
        dec     byte [BDA_FLOPPY_TIMEOUT]
        jnz     .motors_done
        and     byte [BDA_FLOPPY_MOTOR], 0F0h
.motors_done:
        cmp     byte [BDA_BELL_TICKS], 0
        je      .bell_done
        call    bell_tick
.bell_done:
        int     1Ch
        cli
        mov     al, PIC_EOI
        out     PIC1_COMMAND, al
        pop     ds
        pop     dx
        pop     ax
        iret

; ---------------------------------------------------------------------------------------------------------
; INT 1Ah: CF is clear after every function that is known, set otherwise or when the RTC does not run
; ---------------------------------------------------------------------------------------------------------
int1a_handler:
        cmp     ah, int1a_functions.count
        jae     .unknown
        int_enter
        load_seg ds, BDA_SEG
        cf_clear
        movzx   si, ah
        add     si, si
        call    [cs:int1a_functions + si]
        int_leave
.unknown:
        push    bp
        mov     bp, sp
        or      byte [bp + 6], FLAG_CF
        pop     bp
        iret

int1a_functions:
        dw      clock_get_ticks, clock_set_ticks
        dw      rtc_get_time, rtc_set_time
        dw      rtc_get_date, rtc_set_date
        dw      rtc_set_alarm, rtc_cancel_alarm
.count  equ     ($ - int1a_functions) / 2

; AH=00h: CX:DX = ticks since midnight, AL = midnights passed since the last call.
clock_get_ticks:
        mov     es, [BDA_EBDA_SEG]
        mov     byte [es:EBDA_POLL_TIMED], 1
        mov     al, [BDA_MIDNIGHT]
        mov     byte [BDA_MIDNIGHT], 0
        mov     [bp + FRAME_AL], al
        mov     eax, [BDA_TICKS]
        mov     [bp + FRAME_DX], ax
        shr     eax, 16
        mov     [bp + FRAME_CX], ax
        ret

; AH=01h: ticks = CX:DX.
clock_set_ticks:
        mov     [BDA_TICKS], dx
        mov     [BDA_TICKS + 2], cx
        mov     byte [BDA_MIDNIGHT], 0
        ret

; AH=02h: CH:CL:DH = time in BCD, DL = 1 for daylight saving time.
rtc_get_time:
        call    rtc_wait
        jc      rtc_stopped
        mov     al, CMOS_SECONDS
        call    cmos_read
        mov     [bp + FRAME_DH], al
        mov     al, CMOS_MINUTES
        call    cmos_read
        mov     [bp + FRAME_CL], al
        mov     al, CMOS_HOURS
        call    cmos_read
        mov     [bp + FRAME_CH], al
        mov     al, CMOS_STATUS_B
        call    cmos_read
        and     al, RTC_B_DST
        mov     [bp + FRAME_DL], al
        ret

; AH=03h: time = CH:CL:DH in BCD, DL = 1 for daylight saving time.
rtc_set_time:
        call    rtc_stop
        mov     ah, dh
        mov     al, CMOS_SECONDS
        call    cmos_write
        mov     ah, cl
        mov     al, CMOS_MINUTES
        call    cmos_write
        mov     ah, ch
        mov     al, CMOS_HOURS
        call    cmos_write
        mov     al, CMOS_STATUS_B
        call    cmos_read
        mov     ah, dl
        and     ah, RTC_B_DST
        and     al, RTC_B_PIE | RTC_B_AIE
        or      ah, al
        or      ah, RTC_B_24H
        mov     al, CMOS_STATUS_B       ; without RTC_B_SET: the clock runs again
        jmp     cmos_write

; AH=04h: CH, CL, DH, DL = century, year, month, day in BCD.
rtc_get_date:
        call    rtc_wait
        jc      rtc_stopped
        mov     al, CMOS_DAY
        call    cmos_read
        mov     [bp + FRAME_DL], al
        mov     al, CMOS_MONTH
        call    cmos_read
        mov     [bp + FRAME_DH], al
        mov     al, CMOS_YEAR
        call    cmos_read
        mov     [bp + FRAME_CL], al
        mov     al, CMOS_CENTURY
        call    cmos_read
        mov     [bp + FRAME_CH], al
        ret

rtc_stopped:
        cf_set
        ret

; AH=05h: date = CH, CL, DH, DL as above.
rtc_set_date:
        call    rtc_stop
        mov     ah, dl
        mov     al, CMOS_DAY
        call    cmos_write
        mov     ah, dh
        mov     al, CMOS_MONTH
        call    cmos_write
        mov     ah, cl
        mov     al, CMOS_YEAR
        call    cmos_write
        mov     ah, ch
        mov     al, CMOS_CENTURY
        call    cmos_write
        mov     ah, ~RTC_B_SET & 0FFh
        jmp     rtc_clear_b

; AH=06h: call INT 4Ah at CH:CL:DH (BCD). CF = an alarm is set already.
rtc_set_alarm:
        mov     al, CMOS_STATUS_B
        call    cmos_read
        test    al, RTC_B_AIE
        jnz     rtc_stopped
        mov     ah, dh
        mov     al, CMOS_SECONDS_ALARM
        call    cmos_write
        mov     ah, cl
        mov     al, CMOS_MINUTES_ALARM
        call    cmos_write
        mov     ah, ch
        mov     al, CMOS_HOURS_ALARM
        call    cmos_write
        mov     ah, RTC_B_AIE
        jmp     rtc_set_b

; AH=07h: no alarm.
rtc_cancel_alarm:
        mov     ah, ~RTC_B_AIE & 0FFh
        jmp     rtc_clear_b

; ---------------------------------------------------------------------------------------------------------
; INT 70h: IRQ 8, the RTC's periodic and alarm interrupts
; ---------------------------------------------------------------------------------------------------------
int70_handler:
        pushad
        push    ds
        load_seg ds, BDA_SEG
        mov     al, CMOS_STATUS_C       ; reading it lets the next interrupt through
        call    cmos_read
        mov     bl, al
        mov     al, CMOS_STATUS_B
        call    cmos_read
        and     bl, al                  ; a cause counts only while it is enabled
        test    bl, RTC_C_PF
        jz      .alarm
        call    wait_tick
.alarm:
        test    bl, RTC_C_AF
        jz      .done
        sti
        int     4Ah
        cli
.done:
        mov     al, PIC_EOI
        out     PIC2_COMMAND, al
        out     PIC1_COMMAND, al
        pop     ds
        popad
        iret

; ---------------------------------------------------------------------------------------------------------
; RTC access
; ---------------------------------------------------------------------------------------------------------
; Wait until the time registers hold still: they do so for 244 µs at least. Leaves interrupts off, so that
; the reads that follow fall into this time. CF = the clock does not run, or an update does not end.
rtc_wait:
        cli
        mov     al, CMOS_STATUS_B
        call    cmos_read
        test    al, RTC_B_SET
        jnz     .stopped
        push    cx
        mov     cx, 0FFFFh              ; far more reads than an update (2 ms) lasts
.updating:
        mov     al, CMOS_STATUS_A
        call    cmos_read
        test    al, RTC_A_UIP
        loopnz  .updating
        pop     cx
        jnz     .stopped
        clc
        ret
.stopped:
        stc
        ret

; Stop the clock, so that its time can be written.
rtc_stop:
        mov     ah, RTC_B_SET
; Set the bits AH in register B.
rtc_set_b:
        cli
        mov     al, CMOS_STATUS_B
        call    cmos_read
        or      ah, al
        mov     al, CMOS_STATUS_B
        jmp     cmos_write

; Leave only the bits AH in register B.
rtc_clear_b:
        cli
        mov     al, CMOS_STATUS_B
        call    cmos_read
        and     ah, al
        mov     al, CMOS_STATUS_B
        jmp     cmos_write

%include "cmos.asm"
