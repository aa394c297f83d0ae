; The keyboard controller (8042) and what the BIOS tells the keyboard through it: set-up, repetition, LEDs.

; ---------------------------------------------------------------------------------------------------------
; POST: bring up controller and keyboard
; ---------------------------------------------------------------------------------------------------------
keyboard_init:
        mov     al, KBC_CMD_WRITE_MODE  ; on a warm start INT 09h would take the controller's answer, and keys come in
        call    kbc_command
        mov     al, KBC_MODE_SYSTEM | KBC_MODE_AUX_OFF | KBC_MODE_KBD_OFF
        call    kbc_data
        in      al, KBC_DATA            ; throw away what was typed before
        mov     al, KBC_CMD_SELF_TEST
        call    kbc_command
        call    kbc_receive
        mov     al, KBC_CMD_WRITE_MODE
        call    kbc_command
        mov     al, KBC_MODE_IRQ1 | KBC_MODE_SYSTEM | KBC_MODE_AUX_OFF | KBC_MODE_TRANSLATE
        call    kbc_data
        mov     al, KBC_CMD_KBD_ENABLE
        call    kbc_command
        mov     al, KBD_SET_DEFAULTS
        call    kbd_send
        mov     al, KBD_SET_LEDS
        call    kbd_send
        xor     al, al                  ; all off, as in the BIOS data area
        call    kbd_send
        mov     al, KBD_ENABLE
        jmp     kbd_send

; ---------------------------------------------------------------------------------------------------------
; Bytes to and from the controller
; ---------------------------------------------------------------------------------------------------------
; Write AL to the controller's command or data port.
kbc_command:
        call    kbc_wait_writable
        out     KBC_COMMAND, al
        ret
kbc_data:
        call    kbc_wait_writable
        out     KBC_DATA, al
        ret

KBC_READS_MAX           equ 4000h       ; before the controller is given up

kbc_wait_writable:
        push    ax
        push    cx
        mov     cx, KBC_READS_MAX
.next:
        in      al, KBC_STATUS
        test    al, KBC_STATUS_IBF
        loopnz  .next
        pop     cx
        pop     ax
        ret

KBC_WAKES_MAX           equ 16          ; the timer's are 55 ms apart

; AL = the next byte from controller or keyboard; CF = none came. Sleeps, as a byte takes the keyboard 1 ms.
kbc_receive:
        push    cx
        mov     cx, KBC_WAKES_MAX
.next:
        cli
        in      al, KBC_STATUS
        test    al, KBC_STATUS_OBF
        jnz     .there
        sti
        hlt
        loop    .next
        pop     cx
        stc
        ret
.there:
        in      al, KBC_DATA
        sti
        pop     cx
        clc
        ret

; Send AL to the keyboard and wait for its acknowledgement, which INT 09h does not get to see. AL is lost.
; Interrupts must be on and none in service.
kbd_send:
        push    ds
        load_seg ds, IVT_SEG
        push    dword [09h * 4]
        vector  09h, irq_master         ; leaves the byte in the controller
        call    kbc_data
.next:
        call    kbc_receive
        jc      .done
        cmp     al, KBD_ACK             ; a key typed right now is lost
        jne     .next
.done:
        pop     dword [09h * 4]
        pop     ds
        ret

; ---------------------------------------------------------------------------------------------------------
; LEDs. The command and its argument are each answered by an acknowledgement, which arrives as an interrupt:
; KLED_UPDATING = the command was sent, KLED_ACK = its argument as well.
; ---------------------------------------------------------------------------------------------------------
; Tell the keyboard when the lock keys' state has changed. Interrupts must be off, DS = BDA. AL is lost.
leds_update:
        call    leds_wanted
        xor     al, [BDA_KBD_LEDS]
        test    al, KLED_MASK
        jz      .done                   ; nothing new
        test    byte [BDA_KBD_LEDS], KLED_UPDATING
        jnz     .done                   ; looked at again when that has ended
        in      al, KBC_STATUS
        test    al, KBC_STATUS_IBF
        jnz     .done                   ; the next key event or INT 16h tries again
        or      byte [BDA_KBD_LEDS], KLED_UPDATING
        mov     al, KBD_SET_LEDS
        out     KBC_DATA, al
.done:
        ret

; AL = the LEDs that should be lit.
leds_wanted:
        mov     al, [BDA_KBD_FLAGS1]
        shr     al, 4                   ; KF1_SCROLL is bit 4
        and     al, KLED_MASK
        ret

leds_acknowledged:
        test    byte [BDA_KBD_LEDS], KLED_UPDATING
        jz      .done
        test    byte [BDA_KBD_LEDS], KLED_ACK
        jnz     leds_give_up
        call    leds_wanted
        and     byte [BDA_KBD_LEDS], ~KLED_MASK & 0FFh
        or      [BDA_KBD_LEDS], al
        or      byte [BDA_KBD_LEDS], KLED_ACK
        out     KBC_DATA, al
.done:
        ret

; The update has ended, or the keyboard refuses it.
leds_give_up:
        and     byte [BDA_KBD_LEDS], ~(KLED_UPDATING | KLED_ACK) & 0FFh
        ret
