; A guest that plays scan codes to the keyboard's interrupt and prints what INT 16h makes of them.
;
; Behind the program lies a script, one record for each line of output:
;
;       byte 0 = read the keys with AH=01h and 00h, 1 = with AH=11h and 10h; byte number of scan codes; scan codes
;
; ended by FFh. The 8042's command D2h makes each code look as if the keyboard had sent it. A line has the keys,
; then the flags that AH=12h gives, then what else happened:
;
;       B = INT 1Bh (Break), S = INT 05h (print screen), + and - = INT 15h AX=8500h and 8501h (SysReq),
;       P = the guest stood still until the timer sent a key

%include "probe.inc"

%macro hook 2
        mov     word [(%1) * 4], %2
        mov     word [(%1) * 4 + 2], 0
%endmacro

SWALLOWED       equ 3Eh                 ; F4: taken away by the intercept
CHANGED         equ 3Dh                 ; F3: turned into F2
CHANGED_TO      equ 3Ch

main:
        cli
        mov     eax, [15h * 4]
        mov     [old_15h], eax
        hook    05h, print_screen
        hook    15h, services
        hook    1Bh, break
        hook    1Ch, tick
        sti
        mov     si, script
.next_record:
        lodsb
        cmp     al, 0FFh
        je      finish
        mov     ah, al
        shl     ah, 4
        mov     [read_function], ah
        lodsb
        movzx   cx, al
        jcxz    .played
.next_code:
        lodsb
        call    play
        loop    .next_code
.played:
        call    show_keys
        text    ' '
        mov     ah, 12h
        int     16h
        call    print_ax
        mov     al, [BDA + 19h]
        call    print_al
        text    ' '
        push    si
        mov     si, events
        call    print
        mov     byte [events], 0
        mov     word [event_end], events
        pop     si
        call    newline
        jmp     .next_record

; Make AL look like the keyboard's byte, and wait until the interrupt has fetched it.
play:
        mov     ah, al
        mov     byte [stuck_ticks], 0
        mov     al, 0D2h
        call    wait_writable
        out     64h, al
        call    wait_writable
        mov     al, ah
        out     60h, al
.wait:
        in      al, 64h
        test    al, 1
        jnz     .wait
        ret

wait_writable:
        push    ax
.wait:
        in      al, 64h
        test    al, 2
        jnz     .wait
        pop     ax
        ret

show_keys:
        mov     ah, [read_function]
        inc     ah
        int     16h
        jz      .done
        mov     dx, ax
        mov     ah, [read_function]
        int     16h
        call    print_ax
        cmp     ax, dx                  ; the check must have shown the same key
        je      show_keys
        text    '!'
        jmp     show_keys
.done:
        ret

; --- hooks
; Append AL to the events.
note:
        push    bx
        mov     bx, [cs:event_end]
        mov     [cs:bx], al
        mov     byte [cs:bx + 1], 0
        inc     word [cs:event_end]
        pop     bx
        ret

break:
        push    ax
        mov     al, 'B'
        call    note
        pop     ax
        iret

print_screen:
        push    ax
        mov     al, 'S'
        call    note
        pop     ax
        iret

services:
        cmp     ax, 8500h
        je      .pressed
        cmp     ax, 8501h
        je      .released
        cmp     ax, 4F00h + SWALLOWED
        je      .swallow
        cmp     ax, 4F00h + CHANGED
        je      .change
        jmp     far [cs:old_15h]
.pressed:
        mov     al, '+'
        call    note
        jmp     .done
.released:
        mov     al, '-'
        call    note
.done:
        mov     ah, 0
        iret
.change:
        mov     al, CHANGED_TO
        stc
        retf    2
.swallow:
        clc
        retf    2

; The main program stands still in the Pause loop: 2 ticks later a key ends it.
tick:
        push    ax
        push    ds
        push    word 0
        pop     ds
        test    byte [BDA + 18h], 8
        jz      .done
        inc     byte [stuck_ticks]
        cmp     byte [stuck_ticks], 2
        jne     .done
        mov     al, 'P'
        call    note
        mov     al, 0D2h
        out     64h, al
        call    wait_writable
        mov     al, 1Eh                 ; a key that must not arrive
        out     60h, al
.done:
        pop     ds
        pop     ax
        iret

read_function:
        db      0
stuck_ticks:
        db      0
event_end:
        dw      events
events:
        times   32 db 0
old_15h:
        dd      0

script:                                 ; appended by the test
