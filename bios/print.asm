; Text on the screen, for POST and the boot messages: everything goes through INT 10h AH=0Eh.

; print "text", 13, 10: show a constant string; every register is preserved.
%macro print 1+
        call    print_inline
        db      %1, 0
%endmacro

; Show the zero-terminated string that follows the CALL, and return behind it.
print_inline:
        push    bp
        mov     bp, sp
        xchg    si, [bp + 2]            ; SI = the string; the caller's SI waits where its return address was
        call    print_string
        xchg    si, [bp + 2]
        pop     bp
        ret

; Show the zero-terminated string at CS:SI; SI ends behind it.
print_string:
        push    ax
.next:
        cs lodsb
        test    al, al
        jz      .done
        call    print_char
        jmp     .next
.done:
        pop     ax
        ret

; Show the character AL.
print_char:
        push    ax
        push    bx
        mov     ah, 0Eh
        mov     bx, 0007h               ; page 0, grey
        int     10h
        pop     bx
        pop     ax
        ret

; Show AX as four hexadecimal digits.
print_hex16:
        xchg    al, ah
        call    print_hex8
        xchg    al, ah
; Show AL as two hexadecimal digits.
print_hex8:
        push    ax
        shr     al, 4
        call    print_hex_digit
        pop     ax
print_hex_digit:
        push    ax
        and     al, 0Fh
        add     al, '0'
        cmp     al, '9'
        jbe     .show
        add     al, 'A' - '9' - 1
.show:
        call    print_char
        pop     ax
        ret

; Show EAX as a decimal number.
print_decimal:
        pushad
        mov     ebx, 10
        xor     cx, cx
.divide:
        xor     edx, edx
        div     ebx
        push    dx                      ; digits come out backwards
        inc     cx
        test    eax, eax
        jnz     .divide
.show:
        pop     ax
        add     al, '0'
        call    print_char
        loop    .show
        popad
        ret
