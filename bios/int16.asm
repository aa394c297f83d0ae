; INT 16h: keys for programs. keyboard.asm fills the buffer.

int16_handler:
        sti
        int_enter
        load_seg ds, BDA_SEG
        cmp     ah, int16_functions.count
        jae     .beyond_table
        movzx   si, ah
.call:
        add     si, si
        call    [cs:int16_functions + si]
.done:
        int_leave
.beyond_table:                          ; 20h–22h, for keyboards with 122 keys: as 10h–12h
        movzx   si, ah
        sub     si, 10h
        cmp     si, 10h
        jb      .done
        cmp     si, 12h
        jbe     .call
        int_leave

int16_functions:
        dw      key_read, key_check, key_flags, key_typematic
        dw      key_nothing, key_push, key_nothing, key_nothing
        dw      key_nothing, key_capabilities, key_identity, key_nothing
        dw      key_nothing, key_nothing, key_nothing, key_nothing
        dw      key_read_enhanced, key_check_enhanced, key_flags_enhanced
.count  equ     ($ - int16_functions) / 2

key_nothing:
        ret

; AH=00h, AH=10h: AX = the next key; waits for one.
key_read:
        call    key_wait
        call    key_to_old
        jc      key_read                ; a key that this function does not know
        mov     [bp + FRAME_AX], ax
        ret

key_read_enhanced:
        call    key_wait
        call    key_to_enhanced
        mov     [bp + FRAME_AX], ax
        ret

; AH=01h, AH=11h: ZF = no key, else AX = the next key, which stays in the buffer.
key_check:
        cli
        call    key_peek
        jz      key_none
        call    key_to_old
        jnc     key_there
        mov     [BDA_KBD_HEAD], cx      ; drop what this function does not know
        jmp     key_check

key_check_enhanced:
        cli
        call    key_peek
        jz      key_none
        call    key_to_enhanced
key_there:
        mov     [bp + FRAME_AX], ax
        zf_clear
        ret

key_none:
        call    leds_update             ; a program may have changed the lock keys' state
        zf_set
        jmp     rest_if_polled

; AX = the next key, taken from the buffer; sleeps until there is one.
key_wait:
        cli
        call    leds_update
        call    key_peek
        jnz     .take
        mov     ax, 9002h               ; a multitasker may run something else
        int     15h
.sleep:
        cli
        call    key_peek
        jnz     .take
        sti                             ; takes effect behind HLT, so that no key is missed in between
        hlt
        jmp     .sleep
.take:
        mov     [BDA_KBD_HEAD], cx
        sti
        ret

; ZF = the buffer is empty, else AX = the next key, CX = the place behind it.
key_peek:
        mov     bx, [BDA_KBD_HEAD]
        cmp     bx, [BDA_KBD_TAIL]
        je      .done
        mov     cx, bx
        call    buffer_advance
        mov     ax, [bx]
        test    bx, bx                  ; NZ
.done:
        ret

; AX = the code as keyboards with 83 keys had it; CF = they had no such key.
key_to_old:
        cmp     ah, 0E0h
        je      .keypad
        cmp     ah, 84h
        ja      .unknown
        test    ah, ah                  ; a character typed with Alt + digits may be E0h or F0h
        jz      .known
        cmp     al, KEY_ENHANCED_ONLY
        je      .unknown
        cmp     al, KEY_GREY
        jne     .known
        xor     al, al
.known:
        clc
        ret
.keypad:                                ; Enter and / of the keypad look like the main ones
        mov     ah, 35h
        cmp     al, '/'
        je      .known
        mov     ah, 1Ch
        clc
        ret
.unknown:
        stc
        ret

; AX = the code as keyboards with 101 keys have it.
key_to_enhanced:
        test    ah, ah
        jz      .done
        cmp     al, KEY_ENHANCED_ONLY
        jne     .done
        xor     al, al
.done:
        ret

; AH=02h: AL = KF1_*.
key_flags:
        mov     al, [BDA_KBD_FLAGS1]
        mov     [bp + FRAME_AL], al
        ret

; AH=12h: AL = KF1_*, AH = keys that are down: SysReq, Caps, Num, Scroll, right Alt, right Ctrl, left Alt, left Ctrl.
key_flags_enhanced:
        mov     al, [BDA_KBD_FLAGS2]
        mov     ah, al
        and     ah, KF2_CAPS | KF2_NUM | KF2_SCROLL | KF2_LALT | KF2_LCTRL
        and     al, KF2_SYSREQ
        shl     al, 5
        or      ah, al
        mov     al, [BDA_KBD_FLAGS3]
        and     al, KF3_RALT | KF3_RCTRL
        or      ah, al
        mov     [bp + FRAME_AH], ah
        jmp     key_flags

; AH=03h: AL=05h BH = delay (0–3), BL = rate (0–1Fh) of key repetition. Ignored inside interrupt handlers,
; where the keyboard's acknowledgement could not arrive.
TYPEMATIC_SET           equ 05h

key_typematic:
        cmp     al, TYPEMATIC_SET
        jne     .done
        cmp     bh, 3
        ja      .done
        cmp     bl, 1Fh
        ja      .done
        call    irqs_idle
        jnz     .done
        mov     al, KBD_SET_TYPEMATIC
        call    kbd_send
        mov     al, bh
        shl     al, 5
        or      al, bl
        call    kbd_send
.done:
        ret

; AH=05h: put CX into the buffer; AL = 0 done, 1 full.
key_push:
        cli
        mov     ax, cx
        call    store_key
        cmp     di, beep                ; the buffer is full; programs want no sound here
        sete    [bp + FRAME_AL]
        ret

; AH=09h: AL = functions that exist.
CAN_TYPEMATIC           equ 04h         ; AX=0305h
CAN_IDENTIFY            equ 10h         ; AH=0Ah
CAN_ENHANCED            equ 20h         ; AH=10h–12h

key_capabilities:
        mov     byte [bp + FRAME_AL], CAN_TYPEMATIC | CAN_IDENTIFY | CAN_ENHANCED
        ret

; AH=0Ah: BX = keyboard identity.
KEYBOARD_101_KEYS       equ 41ABh       ; as seen through the controller's translation

key_identity:
        mov     word [bp + FRAME_BX], KEYBOARD_101_KEYS
        ret

; ---------------------------------------------------------------------------------------------------------
; Programs that wait for a key by asking again and again
; ---------------------------------------------------------------------------------------------------------
; Such a program has nothing to do until the next interrupt, the timer's at the latest: let the CPU rest. But DOS
; also asks with every call that a program makes of it, to find Ctrl-C, so asking alone does not make an idler.
; What a fruitless poll counts for depends on the time since the one before it, in units of a software interrupt,
; since that scales with the speed of the CPU:
;
;   up to 8 interrupts: a loop that does nothing else, not even call DOS           POLL_IDLE
;   up to 64: any quick loop                                                        POLL_QUICK
;   up to 256, and the time was asked for, too: it waits for a key or a time        POLL_IDLE
;   more, or the cursor moved, or a disk was used: at work                          back to 0
POLLS_TO_REST           equ 4096
POLL_IDLE               equ POLLS_TO_REST / 32
POLL_QUICK              equ 2
POLL_AFTER_REST         equ POLLS_TO_REST - 8 * POLL_IDLE       ; 8 more idle polls, then the next rest
POLL_UNIT               equ 64          ; interrupts

rest_if_polled:
        mov     es, [BDA_EBDA_SEG]
        call    pit_count
        mov     bx, [es:EBDA_POLL_COUNTER]
        sub     bx, ax                  ; elapsed counts, if there was no timer tick
        mov     cx, [BDA_TICKS]
        xchg    cx, [es:EBDA_POLL_TICK]
        cmp     cx, [BDA_TICKS]
        jne     .remember
        mov     cx, [BDA_CURSOR_POS]
        xchg    cx, [es:EBDA_POLL_CURSOR]
        cmp     cx, [BDA_CURSOR_POS]
        jne     .busy
        mov     dx, POLL_IDLE
        mov     ax, [es:EBDA_POLL_UNIT]
        mov     cl, 0
        xchg    cl, [es:EBDA_POLL_TIMED]
        test    cl, cl
        jz      .untimed
        shl     ax, 2
        cmp     bx, ax
        ja      .busy
        jmp     .count
.untimed:
        cmp     bx, ax
        ja      .busy
        shr     ax, 3
        cmp     bx, ax
        jbe     .count
        mov     dx, POLL_QUICK
.count:
        add     [es:EBDA_POLL_COUNT], dx
        cmp     word [es:EBDA_POLL_COUNT], POLLS_TO_REST
        jb      .remember
        call    can_rest
        jnz     .busy
        sti
        hlt
        cli
        mov     cx, [BDA_TICKS]         ; the rest is not a gap
        mov     [es:EBDA_POLL_TICK], cx
        mov     word [es:EBDA_POLL_COUNT], POLL_AFTER_REST
        jmp     .remember
.busy:
        mov     word [es:EBDA_POLL_COUNT], 0
.remember:
        call    pit_count
        mov     [es:EBDA_POLL_COUNTER], ax
        ret

; Measure how long POLL_UNIT software interrupts take, in counts of PIT channel 0. Interrupts are off.
poll_calibrate:
        load_seg es, EBDA_SEG
        call    pit_count
        mov     bx, ax
        mov     cx, POLL_UNIT
.interrupt:
        int     1Ch                     ; nobody has hooked it yet
        loop    .interrupt
        call    pit_count
        sub     bx, ax
        cmp     bx, 0FFFFh / 4
        jb      .store
        mov     bx, 0FFFFh / 4
.store:
        mov     [es:EBDA_POLL_UNIT], bx
        ret

; ZF = the caller runs with interrupts on, and HLT will end.
can_rest:
        mov     al, [bp + FRAME_FLAGS + 1]
        not     al
        test    al, FLAG_IF >> 8
        jnz     irqs_idle.done

; ZF = no interrupt is in service and the timer is not masked. AL is lost.
irqs_idle:
        mov     al, PIC_READ_ISR
        out     PIC1_COMMAND, al
        in      al, PIC1_COMMAND
        test    al, al
        jnz     .done
        in      al, PIC1_DATA
        test    al, 1                   ; IRQ 0
.done:
        ret

; AX = the present count of PIT channel 0.
pit_count:
        xor     al, al                  ; latch channel 0
        out     PIT_CONTROL, al
        in      al, PIT_CHANNEL0
        mov     ah, al
        in      al, PIT_CHANNEL0
        xchg    al, ah
        ret
