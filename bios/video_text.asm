; INT 10h: scrolling, characters at the cursor, teletype output, strings (functions 06h–0Ah, 0Eh, 13h).

; Bell: about 900 Hz for two timer ticks
BELL_DIVISOR            equ 1331
BELL_TICKS              equ 2

; Characters that teletype output obeys instead of showing
CHAR_BELL               equ 07h
CHAR_BACKSPACE          equ 08h
CHAR_LINE_FEED          equ 0Ah
CHAR_RETURN             equ 0Dh

; ---------------------------------------------------------------------------------------------------------
; Scrolling
; ---------------------------------------------------------------------------------------------------------

; 06h, 07h: AL = lines (0 = clear the window), BH = attribute of new lines, CH, CL = upper left row and column,
; DH, DL = lower right. Always on the visible page.
video_scroll:
        mov     di, [BDA_VIDEO_PAGE_START]
        call    text_segment
        jc      video_ignored

; The same on any page: AH = 06h up, 07h down; DI = offset of the page, ES = text memory.
; Clobbers all registers but BP. DS = BDA_SEG.
scroll_window:
        mov     bl, [BDA_VIDEO_COLUMNS]
        dec     bl
        cmp     dl, bl
        jbe     .columns_fit
        mov     dl, bl
.columns_fit:
        mov     bl, [BDA_VIDEO_ROWS]
        cmp     dh, bl
        jbe     .rows_fit
        mov     dh, bl
.rows_fit:
        sub     dl, cl
        jb      .done
        sub     dh, ch
        jb      .done
        dec     al                      ; 0 and anything above the height: all lines
        cmp     al, dh
        jbe     .lines_fit
        mov     al, dh
.lines_fit:
        inc     al
        inc     dl                      ; DL = width, DH = height, AL = new lines
        inc     dh

        mov     bl, BLANK
        push    bx                      ; BH:BL twice: rows are filled two cells at a time
        push    bx

        movzx   bx, byte [BDA_VIDEO_COLUMNS]
        add     bx, bx                  ; BX = bytes to the next row to work on
        cmp     ah, 06h
        je      .from_top
        add     ch, dh                  ; down: from the last row to the first
        dec     ch
        neg     bx
.from_top:
        push    ax
        mov     al, ch
        mul     byte [BDA_VIDEO_COLUMNS]
        add     al, cl
        adc     ah, 0
        add     ax, ax
        add     di, ax                  ; DI = first row to write
        pop     ax
        movzx   si, al
        imul    si, bx
        add     si, di                  ; SI = row that moves there
        sub     dh, al                  ; DH = rows to move
        mov     ah, al                  ; AH = rows to fill
        jz      .fill
.move_row:
        push    si
        push    di
        movzx   cx, dl
        shr     cx, 1
        es rep movsd
        adc     cx, cx
        es rep movsw
        pop     di
        pop     si
        add     si, bx
        add     di, bx
        dec     dh
        jnz     .move_row
.fill:
        mov     dh, ah
        pop     eax
.fill_row:
        push    di
        movzx   cx, dl
        shr     cx, 1
        rep stosd
        adc     cx, cx
        rep stosw
        pop     di
        add     di, bx
        dec     dh
        jnz     .fill_row
.done:
        ret

; ---------------------------------------------------------------------------------------------------------
; Characters at the cursor
; ---------------------------------------------------------------------------------------------------------

; ES:DI = the cursor's cell on page BH, DX = its position; CF set: graphics mode. Clobbers SI.
cursor_cell:
        call    load_cursor
        call    cell_offset
        jmp     text_segment

; 08h: BH = page -> AL = character, AH = attribute.
video_read_cell:
        call    cursor_cell
        jc      video_ignored
        mov     ax, [es:di]
        mov     [bp + FRAME_AX], ax
        ret

; 09h: AL = character, BL = attribute, BH = page, CX = how often. The cursor stays.
video_write_cells:
        call    cursor_cell
        jc      video_ignored
        mov     ah, bl
        rep stosw
        ret

; 0Ah: the same; the attributes stay.
video_write_chars:
        call    cursor_cell
        jc      video_ignored
        jcxz    .done
.next:
        stosb
        inc     di
        loop    .next
.done:
        ret

; ---------------------------------------------------------------------------------------------------------
; Teletype output
; ---------------------------------------------------------------------------------------------------------

; 0Eh without a frame, for the common case: a character to show, and not in the last column. DOS writes nearly all
; its output so, one character per call. Anything else goes to video_teletype.
teletype_quick:
        push    ds
        push    es
        push    ax
        push    bx
        push    dx
        cmp     al, CHAR_RETURN
        jbe     .other                  ; perhaps a control character
        load_seg ds, BDA_SEG
        cmp     byte [BDA_VIDEO_MODE], MODE_LAST_COLOUR_TEXT
        ja      .other
        load_seg es, TEXT_SEG
        mov     bl, [BDA_VIDEO_PAGE]
        mov     bh, 0
        add     bx, bx
        mov     dx, [BDA_CURSOR_POS + bx]
        inc     dl
        cmp     dl, [BDA_VIDEO_COLUMNS]
        jae     .other
        cmp     dh, [BDA_VIDEO_ROWS]
        ja      .other
        mov     [BDA_CURSOR_POS + bx], dx
        mov     ah, al
        mov     al, dh
        mov     dh, ah                  ; DH = character
        mul     byte [BDA_VIDEO_COLUMNS]
        add     al, dl
        adc     ah, 0
        mov     bx, [BDA_VIDEO_PAGE_START]
        shr     bx, 1
        add     ax, bx                  ; AX = cell behind the character, where the cursor goes
        mov     bx, ax
        add     bx, bx
        mov     [es:bx - 2], dh
        mov     dx, [BDA_CRTC_PORT]
        mov     bx, ax
        out_crtc CRTC_CURSOR_LOW, bl
        test    bl, bl
        jnz     .leave                  ; the high half is still right
        out_crtc CRTC_CURSOR_HIGH, bh
.leave:
        pop     dx
        pop     bx
        pop     ax
        pop     es
        pop     ds
        iret
.other:
        pop     dx
        pop     bx
        pop     ax
        pop     es
        pop     ds
        jmp     int10_handler.dispatch

; 0Eh: AL = character, shown with the attribute that its cell has. Always on the visible page.
video_teletype:
        call    text_segment
        jc      video_ignored
        mov     bh, [BDA_VIDEO_PAGE]
        call    load_cursor
        call    control_character
        je      .moved
        call    cell_offset
        mov     [es:di], al
        call    advance
.moved:
        call    keep_on_screen
        call    store_cursor
        jmp     program_cursor

; Obey AL when it is a control character (ZF set); DX = position, moved.
control_character:
        cmp     al, CHAR_RETURN
        je      .return
        cmp     al, CHAR_LINE_FEED
        je      .line_feed
        cmp     al, CHAR_BACKSPACE
        je      .backspace
        cmp     al, CHAR_BELL
        je      ring_bell
        ret
.return:
        mov     dl, 0
        ret
.line_feed:
        inc     dh
        jmp     .obeyed
.backspace:
        cmp     dl, 0
        je      .obeyed
        dec     dl
.obeyed:
        cmp     al, al
        ret

; DX = position of a character just written -> position of the next, perhaps below the screen.
advance:
        inc     dl
        cmp     dl, [BDA_VIDEO_COLUMNS]
        jb      .done
        mov     dl, 0
        inc     dh
.done:
        ret

; Scroll page BH by one line when DX lies below the screen. ES = text memory. New cells get the attribute found at DX.
; Only DH changes.
keep_on_screen:
        cmp     dh, [BDA_VIDEO_ROWS]
        ja      .scroll
        ret
.scroll:
        mov     dh, [BDA_VIDEO_ROWS]
        pushad
        call    cell_offset
        mov     ch, [es:di + 1]
        movzx   di, bh
        imul    di, [BDA_VIDEO_PAGE_SIZE]
        mov     bh, ch
        xor     cx, cx
        mov     dl, [BDA_VIDEO_COLUMNS]
        mov     ax, 0601h
        call    scroll_window
        popad
        ret

; Start the bell and return at once; timer ticks end it (bell_tick). ZF set.
ring_bell:
        push    ax
        mov     al, PIT_CH2_MODE3
        out     PIT_CONTROL, al
        mov     al, BELL_DIVISOR & 0FFh
        out     PIT_CHANNEL2, al
        mov     al, BELL_DIVISOR >> 8
        out     PIT_CHANNEL2, al
        in      al, PORT_B
        or      al, PORT_B_GATE2 | PORT_B_SPEAKER
        out     PORT_B, al
        mov     byte [BDA_BELL_TICKS], BELL_TICKS
        pop     ax
        cmp     al, al
        ret

; One timer tick has passed; INT 08h calls this when BDA_BELL_TICKS is not 0. DS = BDA_SEG. Clobbers AL.
bell_tick:
        dec     byte [BDA_BELL_TICKS]
        jnz     .done
        in      al, PORT_B
        and     al, ~(PORT_B_GATE2 | PORT_B_SPEAKER) & 0FFh
        out     PORT_B, al
.done:
        ret

; ---------------------------------------------------------------------------------------------------------
; Strings
; ---------------------------------------------------------------------------------------------------------

STRING_MOVE_CURSOR      equ 01h
STRING_ATTRIBUTES       equ 02h         ; each character is followed by its attribute

; 13h: AL = STRING_*, BH = page, BL = attribute, CX = characters, DX = position, ES:BP -> the string.
video_write_string:
        cmp     al, STRING_MOVE_CURSOR | STRING_ATTRIBUTES
        ja      video_ignored
        jcxz    .done
        call    text_segment
        jc      .done
        mov     si, [bp + FRAME_BP]
.next:
        push    ds
        mov     ds, [bp + FRAME_ES]
        lodsb
        test    byte [bp + FRAME_AL], STRING_ATTRIBUTES
        jz      .fetched
        mov     bl, [si]
        inc     si
.fetched:
        pop     ds
        call    control_character
        je      .moved
        call    cell_offset
        mov     ah, bl
        mov     [es:di], ax
        call    advance
.moved:
        call    keep_on_screen
        loop    .next
        test    byte [bp + FRAME_AL], STRING_MOVE_CURSOR
        jz      .done
        jmp     video_set_cursor
.done:
        ret
