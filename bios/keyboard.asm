; The keyboard: INT 09h turns scan codes (set 1) into the codes of keytable.asm; int16.asm hands them out.

; ---------------------------------------------------------------------------------------------------------
; INT 09h: IRQ 1, the keyboard has sent a byte
; ---------------------------------------------------------------------------------------------------------
int09_handler:
        int_enter
        load_seg ds, BDA_SEG
        in      al, KBC_DATA
        mov     ah, 4Fh                 ; a program may change the code or take it away
        stc
        int     15h
        mov     di, key_no_action
        jnc     .taken
        call    key_byte
.taken:
        mov     al, PIC_EOI
        out     PIC1_COMMAND, al
        call    di                      ; what must not happen before the EOI, as it may last or never return
        int_leave

key_no_action:
        ret

; Digest the byte AL. DI = what remains to be done after the EOI.
key_byte:
        mov     di, key_no_action
        cmp     al, KBD_ACK
        je      leds_acknowledged
        cmp     al, KBD_RESEND
        je      leds_give_up
        cmp     al, 0E0h
        je      .prefix_e0
        cmp     al, 0E1h
        je      .prefix_e1
        mov     dl, [BDA_KBD_FLAGS3]    ; DL: the prefix of this code
        test    dl, KF3_E1
        jnz     .pause_sequence
        and     byte [BDA_KBD_FLAGS3], ~KF3_E0 & 0FFh
        mov     ah, al
        and     ax, 807Fh               ; AL = code, AH = 80h when the key is released

        mov     si, special_keys
.search:
        cmp     al, [cs:si]
        je      .special
        add     si, 3
        cmp     si, special_keys.end
        jb      .search
        jmp     ordinary_key
.special:
        jmp     [cs:si + 1]

.prefix_e0:
        or      byte [BDA_KBD_FLAGS3], KF3_E0
        ret
.prefix_e1:
        or      byte [BDA_KBD_FLAGS3], KF3_E1
        ret

.pause_sequence:                        ; Pause sends E1 1D 45 E1 9D C5
        cmp     al, 1Dh
        je      .pause_done
        and     byte [BDA_KBD_FLAGS3], ~KF3_E1 & 0FFh
        cmp     al, 45h
        je      pause_pressed
.pause_done:
        ret

; Called with AL = code, AH = 80h on release, DL = prefix.
%macro special 2
        db      %1
        dw      %2
%endmacro
special_keys:
        special 1Dh, key_ctrl
        special 2Ah, key_left_shift
        special 36h, key_right_shift
        special 37h, key_print_screen
        special 38h, key_alt
        special 3Ah, key_caps_lock
        special 45h, key_num_lock
        special 46h, key_scroll_lock
        special 52h, key_insert
        special 53h, key_delete
        special 54h, key_sysreq
.end:

; ---------------------------------------------------------------------------------------------------------
; Shift keys
; ---------------------------------------------------------------------------------------------------------
key_left_shift:
        mov     cl, KF1_LSHIFT
        jmp     key_shift
key_right_shift:
        mov     cl, KF1_RSHIFT
key_shift:
        test    dl, KF3_E0              ; the keyboard's own shift around grey keys
        jnz     .done
        or      [BDA_KBD_FLAGS1], cl
        test    ah, ah
        jz      .done
        xor     [BDA_KBD_FLAGS1], cl
.done:
        ret

; Left and right keys are remembered in different bytes; KF1_CTRL tells whether either is down.
key_ctrl:
        mov     cx, KF2_LCTRL | KF3_RCTRL << 8
        mov     bl, KF1_CTRL
        jmp     key_ctrl_or_alt
key_alt:
        mov     cx, KF2_LALT | KF3_RALT << 8
        mov     bl, KF1_ALT
key_ctrl_or_alt:
        mov     si, BDA_KBD_FLAGS2
        mov     bh, cl
        test    dl, KF3_E0
        jz      .side_known
        mov     si, BDA_KBD_FLAGS3
        mov     bh, ch
.side_known:
        or      [si], bh
        or      [BDA_KBD_FLAGS1], bl
        test    ah, ah
        jz      .done
        xor     [si], bh
        test    [BDA_KBD_FLAGS2], cl
        jnz     .done
        test    [BDA_KBD_FLAGS3], ch
        jnz     .done
        xor     [BDA_KBD_FLAGS1], bl
        cmp     bl, KF1_ALT
        je      alt_released
.done:
        ret

; Alt + digits on the keypad have built a character.
alt_released:
        xor     ax, ax
        xchg    al, [BDA_ALT_NUMPAD]
        test    al, al
        jnz     store_key
        ret

; ---------------------------------------------------------------------------------------------------------
; Lock keys: they toggle when pressed, and not again while the key repeats
; ---------------------------------------------------------------------------------------------------------
key_caps_lock:
        mov     cl, KF1_CAPS
        jmp     key_lock

key_num_lock:                           ; Ctrl-Num Lock is the old keyboard's Pause
        mov     cl, KF1_NUM
        test    byte [BDA_KBD_FLAGS1], KF1_CTRL
        jz      key_lock
        test    ah, ah
        jz      pause_pressed
        ret

key_scroll_lock:                        ; Ctrl-Scroll Lock is Break; E0h 46h is sent by Ctrl-Pause
        mov     cl, KF1_SCROLL
        test    byte [BDA_KBD_FLAGS1], KF1_CTRL
        jz      key_lock
        test    ah, ah
        jnz     .done
        mov     di, break_pressed
.done:
        ret

; CL = the bit in both flag bytes (they agree).
key_lock:
        test    ah, ah
        jnz     .released
        test    [BDA_KBD_FLAGS2], cl
        jnz     .done
        or      [BDA_KBD_FLAGS2], cl
        xor     [BDA_KBD_FLAGS1], cl
        and     byte [BDA_KBD_LEDS], ~(KLED_UPDATING | KLED_ACK) & 0FFh
        jmp     leds_update
.released:
        not     cl
        and     [BDA_KBD_FLAGS2], cl
.done:
        ret

; ---------------------------------------------------------------------------------------------------------
; Keys with side effects
; ---------------------------------------------------------------------------------------------------------
key_insert:
        test    ah, ah
        jnz     .released
        call    keypad_digit_wanted
        jnz     ordinary_key
        test    byte [BDA_KBD_FLAGS1], KF1_CTRL | KF1_ALT
        jnz     ordinary_key
        test    byte [BDA_KBD_FLAGS2], KF2_INSERT
        jnz     ordinary_key            ; repeats, but toggles once
        or      byte [BDA_KBD_FLAGS2], KF2_INSERT
        xor     byte [BDA_KBD_FLAGS1], KF1_INSERT
        jmp     ordinary_key
.released:
        and     byte [BDA_KBD_FLAGS2], ~KF2_INSERT & 0FFh
        ret

key_delete:
        mov     cl, [BDA_KBD_FLAGS1]
        not     cl
        test    cl, KF1_CTRL | KF1_ALT
        jnz     ordinary_key
        test    ah, ah
        jnz     ordinary_key
        mov     di, warm_start
        ret

key_print_screen:
        test    dl, KF3_E0              ; without the prefix it is the keypad's *
        jz      ordinary_key
        test    ah, ah
        jnz     .done
        test    byte [BDA_KBD_FLAGS1], KF1_CTRL
        jnz     .with_ctrl
        mov     di, print_screen_pressed
.done:
        ret
.with_ctrl:
        mov     ax, 7200h
        jmp     store_key

; Alt-PrintScreen.
key_sysreq:
        mov     di, sysreq_released
        test    ah, ah
        jnz     .released
        test    byte [BDA_KBD_FLAGS2], KF2_SYSREQ
        jnz     .repeated
        or      byte [BDA_KBD_FLAGS2], KF2_SYSREQ
        mov     di, sysreq_pressed
        ret
.released:
        and     byte [BDA_KBD_FLAGS2], ~KF2_SYSREQ & 0FFh
        ret
.repeated:
        mov     di, key_no_action
        ret

pause_pressed:
        or      byte [BDA_KBD_FLAGS2], KF2_PAUSE
        mov     di, pause_loop
        ret

; ---------------------------------------------------------------------------------------------------------
; All other keys
; ---------------------------------------------------------------------------------------------------------
ordinary_key:
        test    ah, ah
        jnz     .done
        test    byte [BDA_KBD_FLAGS2], KF2_PAUSE
        jnz     .end_pause
        mov     cl, [BDA_KBD_FLAGS1]
        test    dl, KF3_E0
        jnz     .grey
        test    al, al                  ; the keyboard's own buffer has overflown
        jz      .done
        cmp     al, KEY_TABLE_SIZE
        ja      .done
        test    cl, KF1_ALT
        jz      .in_table
        call    alt_digit
        jc      .done
.in_table:
        movzx   si, al
        shl     si, 3
        add     si, key_table - 8
        call    shift_wanted
        jmp     .choose

.grey:
        mov     si, grey_table
.search:
        cmp     al, [cs:si]
        je      .found
        add     si, GREY_ENTRY_SIZE
        cmp     si, grey_table_end
        jb      .search
        ret
.found:
        inc     si
        test    cl, KF1_LSHIFT | KF1_RSHIFT

.choose:                                ; CS:SI = the key's four codes, NZ = Shift counts
        setnz   bl
        test    cl, KF1_CTRL
        jz      .no_ctrl
        mov     bl, 2
.no_ctrl:
        test    cl, KF1_ALT
        jz      .no_alt
        mov     bl, 3
        mov     byte [BDA_ALT_NUMPAD], 0
.no_alt:
        movzx   bx, bl
        add     bx, bx
        mov     ax, [cs:si + bx]
        test    ax, ax
        jnz     store_key
.done:
        ret

.end_pause:
        and     byte [BDA_KBD_FLAGS2], ~KF2_PAUSE & 0FFh
        ret

; NZ = the key AL with the codes at CS:SI and the flags CL is to be taken as shifted. BX and CH are lost.
shift_wanted:
        xor     bl, bl
        test    cl, KF1_LSHIFT | KF1_RSHIFT
        setnz   bl
        mov     ch, KF1_NUM
        cmp     al, 47h
        jb      .not_keypad
        cmp     al, 53h
        jbe     .lock
.not_keypad:
        mov     ch, KF1_CAPS
        mov     bh, [cs:si]
        cmp     bh, 'a'
        jb      .done
        cmp     bh, 'z'
        ja      .done
.lock:
        test    cl, ch
        jz      .done
        xor     bl, 1
.done:
        test    bl, bl
        ret

; NZ = the Ins key (prefix DL) types a 0 now.
keypad_digit_wanted:
        test    dl, KF3_E0
        jnz     .grey
        mov     cl, [BDA_KBD_FLAGS1]
        jmp     shift_wanted
.grey:
        cmp     al, al
        ret

; Alt is down: when AL is a digit of the keypad, append it to the code being typed. CF = it was.
alt_digit:
        mov     bl, al
        sub     bl, 47h
        cmp     bl, alt_digits.count
        jae     .other
        movzx   bx, bl
        mov     bl, [cs:alt_digits + bx]
        cmp     bl, -1
        je      .other
        mov     al, [BDA_ALT_NUMPAD]
        mov     ah, 10
        mul     ah
        add     al, bl
        mov     [BDA_ALT_NUMPAD], al
        stc
        ret
.other:
        clc
        ret

alt_digits:                             ; scan codes 47h–52h
        db      7, 8, 9, -1, 4, 5, 6, -1, 1, 2, 3, 0
.count  equ     $ - alt_digits

; Put the code AX into the buffer. DI = what remains to be done.
store_key:
        mov     bx, [BDA_KBD_TAIL]
        mov     cx, bx
        call    buffer_advance
        cmp     cx, [BDA_KBD_HEAD]
        je      .full
        mov     [bx], ax
        mov     [BDA_KBD_TAIL], cx
        mov     di, key_posted
        ret
.full:
        mov     di, beep
        ret

; CX = the buffer's place behind CX.
buffer_advance:
        add     cx, 2
        cmp     cx, [BDA_KBD_END]
        jb      .done
        mov     cx, [BDA_KBD_START]
.done:
        ret

; ---------------------------------------------------------------------------------------------------------
; After the EOI
; ---------------------------------------------------------------------------------------------------------
key_posted:
        mov     ax, 9102h               ; a multitasker may wake whoever waits for a key
        int     15h
        ret

; Everything stands still until a key is pressed; the interrupts go on.
pause_loop:
        sti
.wait:
        hlt
        test    byte [BDA_KBD_FLAGS2], KF2_PAUSE
        jnz     .wait
        ret

break_pressed:
        mov     ax, [BDA_KBD_START]
        mov     [BDA_KBD_HEAD], ax
        mov     [BDA_KBD_TAIL], ax
        mov     byte [BDA_BREAK], 80h
        int     1Bh
        xor     ax, ax
        jmp     store_key

print_screen_pressed:
        int     05h
        ret

sysreq_pressed:
        mov     ax, 8500h
        jmp     sysreq_report
sysreq_released:
        mov     ax, 8501h
sysreq_report:
        sti
        int     15h
        ret

warm_start:
        mov     word [BDA_RESET_FLAG], RESET_WARM
        jmp     ROM_SEG:post

BEEP_TOGGLES            equ 400         ; 6 ms: short, as interrupts are off meanwhile
BEEP_DIVISOR            equ PIT_HZ / 900

beep:
        mov     al, PIT_CH2_MODE3
        out     PIT_CONTROL, al
        mov     al, BEEP_DIVISOR & 0FFh
        out     PIT_CHANNEL2, al
        mov     al, BEEP_DIVISOR >> 8
        out     PIT_CHANNEL2, al
        in      al, PORT_B
        push    ax
        or      al, PORT_B_GATE2 | PORT_B_SPEAKER
        out     PORT_B, al
        mov     eax, BEEP_TOGGLES
        call    delay_toggles
        pop     ax
        out     PORT_B, al
        ret
