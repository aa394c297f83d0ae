; The demo disk: a guest that shows, in one minute, what it means that a hard disk can be undone.
;
; It counts how often the disk was booted and keeps notes on it; both are ordinary sector writes through
; INT 13h. The screen tells what will happen to them when the session ends.
;
;       sector 0        boot sector
;       sector 1–       the program
;       sector 64–66    the state: header, then 16 notes
;
; Needs nothing but a BIOS (INT 10h, 13h, 16h) and colour text memory. `tools/build_disk.py` builds demo.img.

        bits    16
        cpu     386
        org     7C00h

DISK_READ               equ 02h         ; INT 13h; + 40h for sectors by number
DISK_WRITE              equ 03h
EDD                     equ 40h
DISK_SECTORS            equ 2048        ; 1 MiB
SECTOR_SIZE             equ 512
PROGRAM_SECTORS         equ 15          ; with the boot sector on the first track, even of 16 sectors
STATE_SECTOR            equ 64
STATE_SECTORS           equ 3
STATE                   equ 0A000h      ; 0000:A000: the state in memory
TEXT_SEG                equ 0B800h

; The state
STATE_MAGIC             equ STATE               ; 8 bytes: MAGIC
STATE_BOOTS             equ STATE + 8           ; dword
STATE_COUNT             equ STATE + 12          ; word: notes in use, the first ones
STATE_NOTES             equ STATE + SECTOR_SIZE ; MAX_NOTES * NOTE_SIZE: length, text
MAX_NOTES               equ 16
NOTE_SIZE               equ 64
NOTE_LENGTH             equ 41          ; characters that fit on the screen

; Colours: background, foreground
NORMAL                  equ 17h         ; light grey on blue
BRIGHT                  equ 1Fh
FRAME                   equ 13h         ; cyan on blue
FAINT                   equ 13h
BAR                     equ 30h         ; black on cyan
BAR_KEY                 equ 3Fh
CHOSEN                  equ 70h         ; black on light grey
EDITING                 equ 3Fh         ; white on cyan
GOOD                    equ 1Ah
BAD                     equ 4Fh         ; white on red
ASK                     equ 1Eh

; Screen
COLUMNS                 equ 80
HEADLINE_ROW            equ 2
LIST_ROW                equ 5           ; first note
LIST_COLUMN             equ 3
TEXT_COLUMN             equ LIST_COLUMN + 3
LIST_RIGHT              equ 49          ; right edge of the list's frame
HELP_LEFT               equ 51          ; left edge of the explanation's frame
MESSAGE_ROW             equ 22          ; what happened
PROMPT_ROW              equ 23          ; what can be typed now
KEYS_ROW                equ 24

; Keys: scan codes of INT 16h, and characters
KEY_UP                  equ 48h
KEY_DOWN                equ 50h
KEY_INSERT              equ 52h
KEY_DELETE              equ 53h
CHAR_BACKSPACE          equ 8
CHAR_ENTER              equ 13
CHAR_ESCAPE             equ 27

; ---------------------------------------------------------------------------------------------------------
; Boot sector
; ---------------------------------------------------------------------------------------------------------
        jmp     0:start
start:
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        cli
        mov     ss, ax
        mov     sp, 7C00h
        sti
        cld
        mov     [drive], dl
        mov     di, 3                   ; tries
.load:
        mov     ax, 0200h + PROGRAM_SECTORS
        mov     bx, 7C00h + SECTOR_SIZE
        mov     cx, 2
        mov     dh, 0
        mov     dl, [drive]
        int     13h
        jnc     main
        xor     ax, ax
        mov     dl, [drive]
        int     13h
        dec     di
        jnz     .load
        mov     si, .failed
.print:
        lodsb
        test    al, al
        jz      .stop
        mov     ah, 0Eh
        mov     bx, 7
        int     10h
        jmp     .print
.stop:
        hlt
        jmp     .stop
.failed db      13, 10, 'The demo program cannot be read from this disk.', 13, 10, 0

drive   db      0

        times   510 - ($ - $$) db 0
        dw      0AA55h

; ---------------------------------------------------------------------------------------------------------
; Program
; ---------------------------------------------------------------------------------------------------------
main:
        mov     ax, 3                   ; 80 x 25, colour
        int     10h
        mov     ax, TEXT_SEG
        mov     es, ax
        call    hide_cursor
        call    disk_setup
        call    draw_screen
        call    load_state
        jc      .show
        inc     dword [STATE_BOOTS]
        call    save_state
        jc      .show
        mov     si, text_ready
        mov     bl, GOOD
        call    message
.show:
        call    draw_headline
        call    draw_notes
.key:
        mov     ah, 0                   ; the BIOS halts the processor until there is a key
        int     16h
        cmp     ah, KEY_UP
        je      move_up
        cmp     ah, KEY_DOWN
        je      move_down
        cmp     ah, KEY_INSERT
        je      new_note
        cmp     ah, KEY_DELETE
        je      delete_note
        cmp     al, CHAR_ENTER
        je      edit_note
        or      al, 20h                 ; lower case
        cmp     al, 'n'
        je      new_note
        cmp     al, 'e'
        je      edit_note
        cmp     al, 'd'
        je      delete_note
        jmp     .key

move_up:
        cmp     word [chosen], 0
        je      main.key
        dec     word [chosen]
        jmp     main.show

move_down:
        mov     ax, [chosen]
        inc     ax
        cmp     ax, [STATE_COUNT]
        jae     main.key
        mov     [chosen], ax
        jmp     main.show

new_note:
        call    confirm_state
        jc      main.show
        mov     ax, [STATE_COUNT]
        cmp     ax, MAX_NOTES
        jb      .room
        mov     si, text_full
        mov     bl, BAD
        call    message
        jmp     main.show
.room:
        mov     [chosen], ax
        inc     word [STATE_COUNT]
        call    note_address
        mov     byte [di], 0
        call    draw_headline
        call    draw_notes
        call    edit_line
        jc      .forget
        mov     si, text_written
        jmp     save_and_show
.forget:
        dec     word [STATE_COUNT]
        jmp     after_delete

edit_note:
        call    confirm_state
        jc      main.show
        cmp     word [STATE_COUNT], 0
        je      new_note
        call    edit_line
        jc      main.show
        mov     si, text_written
        jmp     save_and_show

delete_note:
        call    confirm_state
        jc      main.show
        mov     cx, [STATE_COUNT]
        jcxz    .none
        dec     cx
        mov     [STATE_COUNT], cx
        mov     ax, [chosen]
        sub     cx, ax                  ; notes behind it move up
        call    note_address
        lea     si, [di + NOTE_SIZE]
        shl     cx, 6                   ; * NOTE_SIZE
        push    es
        push    ds
        pop     es
        rep     movsb
        pop     es
        mov     si, text_deleted
        jmp     save_and_show
.none:
        jmp     main.key

; Write the state; say SI when it worked.
save_and_show:
        push    si
        call    save_state
        pop     si
        jc      .failed
        mov     bl, GOOD
        call    message
        jmp     after_delete
.failed:
        call    read_state              ; show what is on the disk, not what should be
after_delete:
        mov     ax, [STATE_COUNT]       ; the choice stays within the list
        test    ax, ax
        jz      .first
        dec     ax
.first: cmp     [chosen], ax
        jbe     main.show
        mov     [chosen], ax
        jmp     main.show

; ---------------------------------------------------------------------------------------------------------
; Editing a line
; ---------------------------------------------------------------------------------------------------------

; Let the user change the chosen note. CF set: left as it was.
edit_line:
        mov     si, text_editing
        call    ask
        mov     ax, [chosen]
        call    note_address
        mov     si, di
        mov     di, line_buffer
        mov     cx, NOTE_SIZE
        call    copy
.draw:
        mov     si, line_buffer
        mov     ah, EDITING
        mov     bx, [chosen]
        call    draw_note_text
        mov     dh, [chosen]
        add     dh, LIST_ROW
        mov     dl, [line_buffer]
        add     dl, TEXT_COLUMN
        call    set_cursor
.key:
        mov     ah, 0
        int     16h
        cmp     al, CHAR_ENTER
        je      .accept
        cmp     al, CHAR_ESCAPE
        je      .cancel
        movzx   bx, byte [line_buffer]
        cmp     al, CHAR_BACKSPACE
        je      .backspace
        cmp     al, ' '
        jb      .key
        cmp     al, 7Fh
        je      .key
        cmp     al, 0E0h                ; an arrow or the like, on the grey keys
        jne     .insert
        test    ah, ah
        jnz     .key
.insert:
        cmp     bl, NOTE_LENGTH
        jae     .key
        mov     [line_buffer + 1 + bx], al
        inc     byte [line_buffer]
        jmp     .draw
.backspace:
        test    bl, bl
        jz      .key
        dec     byte [line_buffer]
        jmp     .draw
.accept:
        cmp     byte [line_buffer], 0          ; an empty line is no note
        je      .cancel
        mov     ax, [chosen]
        call    note_address
        mov     si, line_buffer
        mov     cx, NOTE_SIZE
        call    copy
        call    .done
        clc
        ret
.done:
        call    hide_cursor
        jmp     no_prompt
.cancel:
        call    .done
        mov     si, text_nothing
        mov     bl, NORMAL
        call    message
        stc
        ret

; ---------------------------------------------------------------------------------------------------------
; State
; ---------------------------------------------------------------------------------------------------------

; Read the state; when it is no good, ask whether to start a new one. CF set: there is none.
load_state:
        call    read_state
        ; fall through

; CF clear when there is a state that can be changed, if need be a fresh one.
confirm_state:
        cmp     byte [valid], 1
        je      .end                    ; CF clear
        mov     si, text_ask
        call    ask
.key:
        mov     ah, 0
        int     16h
        or      al, 20h
        cmp     al, 'n'
        je      .no
        cmp     al, 'y'
        jne     .key
        call    clear_state
        mov     si, magic
        mov     di, STATE_MAGIC
        mov     cx, 8
        call    copy
        mov     byte [valid], 1
        call    no_prompt
        clc
.end:
        ret
.no:
        call    no_prompt
        mov     si, text_untouched
        mov     bl, BAD
        call    message
        stc
        ret

; Read the state and check it: [valid] = 1; or 0, an empty list, and the reason on the screen.
read_state:
        mov     byte [valid], 0
        mov     ah, DISK_READ
        call    disk_access
        mov     si, text_unreadable
        jc      .bad
        mov     si, text_foreign
        mov     eax, [STATE_MAGIC]
        cmp     eax, [magic]
        jne     .bad
        mov     eax, [STATE_MAGIC + 4]
        cmp     eax, [magic + 4]
        jne     .bad
        mov     cx, [STATE_COUNT]
        cmp     cx, MAX_NOTES
        ja      .bad
        mov     di, STATE_NOTES
        jcxz    .good
.note:
        cmp     byte [di], NOTE_LENGTH
        ja      .bad
        add     di, NOTE_SIZE
        loop    .note
.good:
        mov     byte [valid], 1
        ret
.bad:
        mov     bl, BAD
        call    message
        ; fall through

clear_state:
        push    es
        push    ds
        pop     es
        mov     di, STATE
        mov     cx, STATE_SECTORS * SECTOR_SIZE / 2
        xor     ax, ax
        rep     stosw
        pop     es
        ret

; Write the state. CF set when the disk refused; the reason is shown.
save_state:
        mov     ah, DISK_WRITE
        call    disk_access
        jnc     .end
        mov     si, text_refused
        mov     bl, BAD
        call    message
        stc
.end:
        ret

; DI = address of note AX.
note_address:
        mov     di, ax
        shl     di, 6                   ; * NOTE_SIZE
        add     di, STATE_NOTES
        ret

; Copy CX bytes from DS:SI to DS:DI.
copy:
        push    es
        push    ds
        pop     es
        rep     movsb
        pop     es
        ret

; ---------------------------------------------------------------------------------------------------------
; Disk
; ---------------------------------------------------------------------------------------------------------

; Find out how the BIOS wants sectors to be named: by number (EDD), or by cylinder, head and sector.
disk_setup:
        push    es
        mov     ah, 41h
        mov     bx, 55AAh
        mov     dl, [drive]
        int     13h
        jc      .chs
        cmp     bx, 0AA55h
        jne     .chs
        test    cl, 1
        jz      .chs
        mov     byte [edd], EDD
.chs:
        mov     ah, 08h
        mov     dl, [drive]
        xor     di, di
        mov     es, di
        int     13h
        pop     es
        jc      .end
        and     cx, 3Fh
        mov     [sectors_per_track], cx
        movzx   dx, dh
        inc     dx
        mov     [heads], dx
.end:
        ret

; Read or write the state (AH = DISK_READ or DISK_WRITE), each sector tried twice.
; The header comes last: when a note cannot be written, the disk still counts the notes that it had.
; CF set when a sector failed: [disk_error] says how.
disk_access:
        mov     [function], ah
        mov     word [packet.sector], STATE_SECTOR + STATE_SECTORS - 1
        mov     word [packet.buffer], STATE + (STATE_SECTORS - 1) * SECTOR_SIZE
.sector:
        call    disk_sector
        jnc     .next
        mov     ah, 0                   ; reset
        mov     dl, [drive]
        int     13h
        call    disk_sector
        jnc     .next
        mov     [disk_error], ah
        ret
.next:
        sub     word [packet.buffer], SECTOR_SIZE
        dec     word [packet.sector]
        cmp     word [packet.sector], STATE_SECTOR
        jae     .sector
        clc
        ret

; One sector. CF and AH as INT 13h leaves them.
disk_sector:
        push    es
        push    ds
        pop     es
        mov     ax, [packet.sector]
        xor     dx, dx
        div     word [sectors_per_track]
        mov     cx, dx
        inc     cx                      ; sector
        xor     dx, dx
        div     word [heads]
        mov     ch, al                  ; cylinder; fewer than 256 for so small a number
        mov     dh, dl                  ; head
        mov     dl, [drive]
        mov     bx, [packet.buffer]
        mov     si, packet
        mov     word [packet.count], 1
        mov     ah, [function]
        mov     al, 1
        or      ah, [edd]
        cmp     ah, EDD
        jb      .call
        mov     al, 0
.call:
        int     13h
        pop     es
        ret

; ---------------------------------------------------------------------------------------------------------
; Screen. ES = TEXT_SEG throughout.
; ---------------------------------------------------------------------------------------------------------

draw_screen:
        mov     ax, NORMAL << 8 | ' '
        xor     di, di
        mov     cx, COLUMNS * 25
        rep     stosw
        mov     ax, BAR << 8 | ' '
        xor     di, di
        mov     cx, COLUMNS
        rep     stosw
        mov     di, KEYS_ROW * COLUMNS * 2
        mov     cx, COLUMNS
        rep     stosw
        mov     dx, (LIST_ROW - 1) << 8 | 1
        mov     cx, LIST_RIGHT - 1
        call    draw_frame
        mov     dx, (LIST_ROW - 1) << 8 | HELP_LEFT
        mov     cx, COLUMNS - 2 - HELP_LEFT
        call    draw_frame
        mov     si, screen
.text:
        lodsw                           ; row, column
        cmp     al, 0FFh
        je      .end
        mov     dx, ax
        xchg    dl, dh
        lodsb
        mov     ah, al
        call    draw_text
        jmp     .text
.end:
        ret

; A frame around the rows of the list: upper left corner at DH, DL; CX columns to the right edge.
draw_frame:
        call    cell
        mov     ah, FRAME
        mov     si, .top
        call    .line
        mov     dh, MAX_NOTES
.row:
        mov     si, .middle
        call    .line
        dec     dh
        jnz     .row
        mov     si, .bottom
.line:
        push    di
        push    cx
        lodsb
        stosw
        lodsb
        dec     cx
        rep     stosw
        lodsb
        stosw
        pop     cx
        pop     di
        add     di, COLUMNS * 2
        ret
.top    db      0C9h, 0CDh, 0BBh        ; code page 437: double lines
.middle db      0BAh, ' ', 0BAh
.bottom db      0C8h, 0CDh, 0BCh

draw_headline:
        mov     al, HEADLINE_ROW
        mov     bl, BRIGHT
        call    clear_row
        mov     si, text_unknown
        cmp     byte [valid], 1
        jne     .boots
        mov     eax, [STATE_BOOTS]
        mov     [number], eax
        mov     si, text_once
        cmp     eax, 1
        je      .boots
        mov     si, text_boots
.boots:
        mov     dx, HEADLINE_ROW << 8 | LIST_COLUMN
        mov     ah, BRIGHT
        call    draw_text
        movzx   eax, word [STATE_COUNT]
        mov     [number], eax
        mov     si, text_count
        mov     dx, HEADLINE_ROW << 8 | HELP_LEFT + 2
        mov     ah, NORMAL
        jmp     draw_text

draw_notes:
        xor     bx, bx
.note:
        mov     dh, bl
        add     dh, LIST_ROW
        mov     dl, LIST_COLUMN
        call    cell
        mov     ax, FAINT << 8 | ' '
        mov     cx, LIST_RIGHT - LIST_COLUMN - 1
        rep     stosw
        cmp     bx, [STATE_COUNT]
        jae     .empty
        movzx   eax, bx
        inc     ax
        mov     [number], eax
        mov     si, text_number
        mov     ah, FAINT
        call    draw_text
        mov     ax, bx
        call    note_address
        mov     si, di
        mov     ah, NORMAL
        cmp     bx, [chosen]
        jne     .text
        mov     ah, CHOSEN
.text:
        call    draw_note_text
        jmp     .next
.empty:
        mov     si, text_dot
        mov     ah, FAINT
        call    draw_text
.next:
        inc     bx
        cmp     bx, MAX_NOTES
        jb      .note
        ret

; The text of note BX in its row: SI = length and text, AH = colour; the field is filled up.
draw_note_text:
        mov     dh, bl
        add     dh, LIST_ROW
        mov     dl, TEXT_COLUMN
        call    cell
        lodsb
        movzx   cx, al
        mov     dx, NOTE_LENGTH + 1
        sub     dx, cx
        jcxz    .fill
.char:
        lodsb
        stosw
        loop    .char
.fill:
        mov     al, ' '
        mov     cx, dx
        rep     stosw
        ret

; Say SI in the message row, in colour BL; ask: in the prompt row, which no_prompt clears.
message:
        mov     al, MESSAGE_ROW
        jmp     say
no_prompt:
        mov     si, text_empty
ask:
        mov     al, PROMPT_ROW
        mov     bl, ASK
say:
        push    ax
        push    bx
        mov     bl, NORMAL
        call    clear_row
        pop     bx
        pop     ax
        mov     dh, al
        mov     dl, LIST_COLUMN
        mov     ah, bl
        ; fall through

; Draw the string at SI at row DH, column DL, in colour AH. In it, 1 stands for [disk_error] in hexadecimal,
; 2 for [number] and 3 changes to bright and back.
draw_text:
        push    bx
        call    cell
.char:
        lodsb
        cmp     al, 3
        ja      .plain
        cmp     al, 1
        jb      .end
        je      .error
        cmp     al, 2
        je      .number
        xor     ah, BAR ^ BAR_KEY
        jmp     .char
.plain:
        stosw
        jmp     .char
.error:
        mov     al, [disk_error]
        shr     al, 4
        call    .digit
        mov     al, [disk_error]
        and     al, 0Fh
        call    .digit
        jmp     .char
.number:
        push    ax
        push    si
        mov     bh, ah
        mov     eax, [number]
        mov     si, digits.end
        mov     ecx, 10
.divide:
        xor     edx, edx
        div     ecx
        dec     si
        mov     [si], dl
        test    eax, eax
        jnz     .divide
        mov     ah, bh
.digits:
        lodsb
        call    .digit
        cmp     si, digits.end
        jb      .digits
        pop     si
        pop     ax
        jmp     .char
.digit:
        add     al, '0'
        cmp     al, '9'
        jbe     .store
        add     al, 'A' - '0' - 10
.store:
        stosw
        ret
.end:
        pop     bx
        ret

; DI = offset of row DH, column DL. AX is kept.
cell:
        push    ax
        mov     al, COLUMNS
        mul     dh
        movzx   di, dl
        add     di, ax
        add     di, di
        pop     ax
        ret

; Fill row AL with blanks of colour BL.
clear_row:
        mov     dh, al
        mov     dl, 0
        call    cell
        mov     ah, bl
        mov     al, ' '
        mov     cx, COLUMNS
        rep     stosw
        ret

set_cursor:
        mov     ah, 02h
        mov     bh, 0
        int     10h
        mov     ah, 01h
        mov     cx, 0607h               ; an underline
        int     10h
        ret

hide_cursor:
        mov     ah, 01h
        mov     cx, 2000h
        int     10h
        ret

; ---------------------------------------------------------------------------------------------------------
; Data
; ---------------------------------------------------------------------------------------------------------

%macro line 4                           ; row, column, colour, text
        db      %1, %2, %3, %4, 0
%endmacro
%macro explain 2
        line    LIST_ROW + %1, HELP_LEFT + 2, NORMAL, %2
%endmacro

screen:
        line    0, 2, BAR_KEY, 'pcemu demo disk'
        line    0, 44, BAR, 'A PC whose hard disk can be undone'
        line    LIST_ROW - 1, 3, BRIGHT, ' Notes on this disk '
        line    LIST_ROW - 1, HELP_LEFT + 2, BRIGHT, ' What happens to them '
        explain 0, 'Every note is written to'
        explain 1, 'the hard disk at once.'
        explain 2, 'The count of boots, too.'
        explain 4, 'pcemu puts what changes'
        explain 5, 'into a layer above the'
        explain 6, 'disk. The disk itself'
        explain 7, 'stays as it was.'
        explain 9, 'To leave: Ctrl-] Q, or'
        explain 10, 'in a window Right Ctrl-Q'
        explain 11, 'Then pcemu asks you:'
        line    LIST_ROW + 12, HELP_LEFT + 2, BRIGHT, 'commit'
        line    LIST_ROW + 12, HELP_LEFT + 11, NORMAL, 'keep it all'
        line    LIST_ROW + 13, HELP_LEFT + 2, BRIGHT, 'discard'
        line    LIST_ROW + 13, HELP_LEFT + 11, NORMAL, 'undo it all,'
        line    LIST_ROW + 14, HELP_LEFT + 11, NORMAL, 'even this boot'
        explain 15, 'Run it again, and see.'
        line    KEYS_ROW, 2, BAR, {3, 'N', 3, ' new note   ', 3, 'E', 3, ' edit   ', 3, 'D', 3, ' delete   ', 3, 18h, ' ', 19h, 3, ' choose'}
        db      0FFh, 0FFh

text_empty      db      0
text_once       db      'This disk is booted for the first time.', 0
text_boots      db      'This disk has been booted ', 2, ' times.', 0
text_unknown    db      'The state of this disk is unknown.', 0
text_count      db      2, ' of 16 notes used', 0
text_number     db      2, 0
text_dot        db      0FAh, 0
text_ready      db      'The boot was counted: sector 64 of the disk has changed.', 0
text_written    db      'Written to the disk: sectors 64 to 66.', 0
text_deleted    db      'Deleted, and written to the disk: sectors 64 to 66.', 0
text_nothing    db      'Nothing was changed.', 0
text_full       db      ' All 16 notes are in use. Delete one first. ', 0
text_editing    db      'Type the note. Enter writes it to the disk, Esc forgets it.', 0
text_unreadable db      ' The notes cannot be read: disk error ', 1, 'h (INT 13h). ', 0
text_foreign    db      ' Sectors 64 to 66 of this disk hold something else than notes. ', 0
text_ask        db      'Start with an empty list? It replaces what is there.  Y  N', 0
text_untouched  db      ' Left as it is. ', 0
text_refused    db      ' NOT saved: the disk refused to write, error ', 1, 'h (INT 13h). ', 0

magic           db      'pcemuDMO'
edd             db      0               ; EDD, when the BIOS takes sector numbers
function        db      0
disk_error      db      0
valid           db      0               ; 1: the state in memory may be written to the disk
sectors_per_track dw    63
heads           dw      16
chosen          dw      0               ; index of the note
        align   4, db 0
number          dd      0
digits:         times   10 db 0
.end:
packet:         db      10h, 0          ; INT 13h AH=42h, 43h
.count          dw      1
.buffer         dw      0, 0
.sector         dq      0
line_buffer:    times   NOTE_SIZE db 0

        times   (1 + PROGRAM_SECTORS) * SECTOR_SIZE - ($ - $$) db 0

; ---------------------------------------------------------------------------------------------------------
; The state that the disk is delivered with
; ---------------------------------------------------------------------------------------------------------
        times   STATE_SECTOR * SECTOR_SIZE - ($ - $$) db 0

%macro note 1
%%start:
        db      %%end - %%text
%%text: db      %1
%%end:  times   NOTE_SIZE - ($ - %%start) db 0
%endmacro

fresh_state:
        db      'pcemuDMO'              ; as `magic`
        dd      0                       ; boots
        dw      2                       ; notes
        times   SECTOR_SIZE - ($ - fresh_state) db 0
        note    'Welcome. This is the first note.'
        note    'Press N and write one of your own.'

        times   DISK_SECTORS * SECTOR_SIZE - ($ - $$) db 0
