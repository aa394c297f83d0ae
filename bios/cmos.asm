; CMOS RAM: access to its bytes, through the ports of the MC146818.

; AL = CMOS byte AL.
cmos_read:
        pushf
        cli                             ; no interrupt handler may move the index in between
        out     CMOS_INDEX, al
        in      al, CMOS_DATA
        popf
        ret

; CMOS byte AL = AH.
cmos_write:
        pushf
        cli
        out     CMOS_INDEX, al
        xchg    al, ah
        out     CMOS_DATA, al
        xchg    al, ah
        popf
        ret

; AX = CMOS bytes AL (low) and AL + 1 (high).
cmos_read_word:
        push    bx
        mov     bl, al
        inc     al
        call    cmos_read
        mov     ah, al
        mov     al, bl
        call    cmos_read
        pop     bx
        ret

; EAX = CMOS byte AL, a number in BCD.
cmos_read_bcd:
        call    cmos_read
        movzx   eax, al
        ror     ax, 4                   ; AL = tens, AH's high nibble = units
        shr     ah, 4
        xchg    al, ah
        aad
        ret
