; INT 05h: print the text screen on the first printer.

PRINT_IDLE              equ 0
PRINT_RUNNING           equ 1
PRINT_FAILED            equ 0FFh

LPT_FAILURE             equ 29h         ; INT 17h status: out of paper, I/O error, time-out

int05_handler:
        int_enter
        load_seg ds, BDA_SEG
        cmp     byte [BDA_PRINT_SCREEN], PRINT_RUNNING
        je      .leave
        mov     byte [BDA_PRINT_SCREEN], PRINT_RUNNING
        sti
        mov     ah, 0Fh                 ; AH = columns, BH = page
        int     10h
        mov     cl, ah
        mov     ch, [BDA_VIDEO_ROWS]
        inc     ch
        mov     ah, 03h
        push    cx
        int     10h
        pop     cx
        push    dx                      ; the cursor, to be put back
        call    print_rows
        pop     dx
        mov     ah, 02h
        int     10h
        mov     [BDA_PRINT_SCREEN], al
.leave:
        int_leave

; Print CH rows of CL columns of page BH. AL = PRINT_IDLE or PRINT_FAILED.
print_rows:
        xor     dx, dx                  ; row and column
.next_row:
        call    print_line_end
        jnz     .failed
        xor     dl, dl
.next_column:
        mov     ah, 02h
        int     10h
        mov     ah, 08h                 ; AL = character under the cursor
        int     10h
        test    al, al
        jnz     .visible
        mov     al, ' '
.visible:
        call    print_byte
        jnz     .failed
        inc     dl
        cmp     dl, cl
        jb      .next_column
        inc     dh
        cmp     dh, ch
        jb      .next_row
        call    print_line_end
        jnz     .failed
        mov     al, PRINT_IDLE
        ret
.failed:
        mov     al, PRINT_FAILED
        ret

print_line_end:
        mov     al, 13
        call    print_byte
        jnz     .done
        mov     al, 10
        call    print_byte
.done:
        ret

; NZ = the printer has failed.
print_byte:
        push    dx
        xor     dx, dx
        mov     ah, 00h
        int     17h
        test    ah, LPT_FAILURE
        pop     dx
        ret
