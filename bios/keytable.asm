; What each key means: the codes that INT 16h returns, scan code in the high byte, character in the low byte.
;
; Columns: alone, with Shift, with Ctrl, with Alt; 0 = no code. Two characters are marks for INT 16h:
; F0h = a code that only the enhanced functions (AH=10h, 11h) know; E0h = a key of the grey cursor block.
; The enhanced functions return F0h as 0, the old ones E0h as 0.

KEY_ENHANCED_ONLY       equ 0F0h
KEY_GREY                equ 0E0h

%macro key 4
        dw      %1, %2, %3, %4
%endmacro
; letter scan, 'a'
%macro letter 2
        key     (%1) << 8 | (%2), (%1) << 8 | (%2) - 20h, (%1) << 8 | (%2) - 60h, (%1) << 8
%endmacro

KEY_TABLE_SIZE          equ 58h

key_table:                              ; scan codes 01h–58h
        key     011Bh, 011Bh, 011Bh, 01F0h      ; Esc
        key     0231h, 0221h, 0000h, 7800h      ; 1 !
        key     0332h, 0340h, 0300h, 7900h      ; 2 @
        key     0433h, 0423h, 0000h, 7A00h      ; 3 #
        key     0534h, 0524h, 0000h, 7B00h      ; 4 $
        key     0635h, 0625h, 0000h, 7C00h      ; 5 %
        key     0736h, 075Eh, 071Eh, 7D00h      ; 6 ^
        key     0837h, 0826h, 0000h, 7E00h      ; 7 &
        key     0938h, 092Ah, 0000h, 7F00h      ; 8 *
        key     0A39h, 0A28h, 0000h, 8000h      ; 9 (
        key     0B30h, 0B29h, 0000h, 8100h      ; 0 )
        key     0C2Dh, 0C5Fh, 0C1Fh, 8200h      ; - _
        key     0D3Dh, 0D2Bh, 0000h, 8300h      ; = +
        key     0E08h, 0E08h, 0E7Fh, 0EF0h      ; Backspace
        key     0F09h, 0F00h, 9400h, 0A500h     ; Tab
        letter  10h, 'q'
        letter  11h, 'w'
        letter  12h, 'e'
        letter  13h, 'r'
        letter  14h, 't'
        letter  15h, 'y'
        letter  16h, 'u'
        letter  17h, 'i'
        letter  18h, 'o'
        letter  19h, 'p'
        key     1A5Bh, 1A7Bh, 1A1Bh, 1AF0h      ; [ {
        key     1B5Dh, 1B7Dh, 1B1Dh, 1BF0h      ; ] }
        key     1C0Dh, 1C0Dh, 1C0Ah, 1CF0h      ; Enter
        key     0, 0, 0, 0                      ; Ctrl
        letter  1Eh, 'a'
        letter  1Fh, 's'
        letter  20h, 'd'
        letter  21h, 'f'
        letter  22h, 'g'
        letter  23h, 'h'
        letter  24h, 'j'
        letter  25h, 'k'
        letter  26h, 'l'
        key     273Bh, 273Ah, 0000h, 27F0h      ; ; :
        key     2827h, 2822h, 0000h, 28F0h      ; ' "
        key     2960h, 297Eh, 0000h, 29F0h      ; ` ~
        key     0, 0, 0, 0                      ; left Shift
        key     2B5Ch, 2B7Ch, 2B1Ch, 2BF0h      ; \ |
        letter  2Ch, 'z'
        letter  2Dh, 'x'
        letter  2Eh, 'c'
        letter  2Fh, 'v'
        letter  30h, 'b'
        letter  31h, 'n'
        letter  32h, 'm'
        key     332Ch, 333Ch, 0000h, 33F0h      ; , <
        key     342Eh, 343Eh, 0000h, 34F0h      ; . >
        key     352Fh, 353Fh, 0000h, 35F0h      ; / ?
        key     0, 0, 0, 0                      ; right Shift
        key     372Ah, 372Ah, 9600h, 37F0h      ; keypad *
        key     0, 0, 0, 0                      ; Alt
        key     3920h, 3920h, 3920h, 3920h      ; space
        key     0, 0, 0, 0                      ; Caps Lock
        key     3B00h, 5400h, 5E00h, 6800h      ; F1
        key     3C00h, 5500h, 5F00h, 6900h
        key     3D00h, 5600h, 6000h, 6A00h
        key     3E00h, 5700h, 6100h, 6B00h
        key     3F00h, 5800h, 6200h, 6C00h
        key     4000h, 5900h, 6300h, 6D00h
        key     4100h, 5A00h, 6400h, 6E00h
        key     4200h, 5B00h, 6500h, 6F00h
        key     4300h, 5C00h, 6600h, 7000h
        key     4400h, 5D00h, 6700h, 7100h      ; F10
        key     0, 0, 0, 0                      ; Num Lock
        key     0, 0, 0, 0                      ; Scroll Lock
        key     4700h, 4737h, 7700h, 0          ; keypad 7 Home
        key     4800h, 4838h, 8D00h, 0          ; keypad 8 up
        key     4900h, 4939h, 8400h, 0          ; keypad 9 PgUp
        key     4A2Dh, 4A2Dh, 8E00h, 4AF0h      ; keypad -
        key     4B00h, 4B34h, 7300h, 0          ; keypad 4 left
        key     4CF0h, 4C35h, 8F00h, 0          ; keypad 5
        key     4D00h, 4D36h, 7400h, 0          ; keypad 6 right
        key     4E2Bh, 4E2Bh, 9000h, 4EF0h      ; keypad +
        key     4F00h, 4F31h, 7500h, 0          ; keypad 1 End
        key     5000h, 5032h, 9100h, 0          ; keypad 2 down
        key     5100h, 5133h, 7600h, 0          ; keypad 3 PgDn
        key     5200h, 5230h, 9200h, 0          ; keypad 0 Ins
        key     5300h, 532Eh, 9300h, 0          ; keypad . Del
        key     0, 0, 0, 0                      ; SysReq
        key     0, 0, 0, 0
        key     565Ch, 567Ch, 0000h, 0000h      ; the 102nd key, \ |
        key     8500h, 8700h, 8900h, 8B00h      ; F11
        key     8600h, 8800h, 8A00h, 8C00h      ; F12
        times KEY_TABLE_SIZE * 8 - ($ - key_table) db 0    ; fails when the table is too long

%macro grey 5
        db      %1
        dw      %2, %3, %4, %5
%endmacro

GREY_ENTRY_SIZE         equ 9

grey_table:                             ; scan codes behind E0h
        grey    1Ch, 0E00Dh, 0E00Dh, 0E00Ah, 0A600h     ; keypad Enter
        grey    35h, 0E02Fh, 0E02Fh, 9500h, 0A400h      ; keypad /
        grey    47h, 47E0h, 47E0h, 77E0h, 9700h         ; Home
        grey    48h, 48E0h, 48E0h, 8DE0h, 9800h         ; up
        grey    49h, 49E0h, 49E0h, 84E0h, 9900h         ; PgUp
        grey    4Bh, 4BE0h, 4BE0h, 73E0h, 9B00h         ; left
        grey    4Dh, 4DE0h, 4DE0h, 74E0h, 9D00h         ; right
        grey    4Fh, 4FE0h, 4FE0h, 75E0h, 9F00h         ; End
        grey    50h, 50E0h, 50E0h, 91E0h, 0A000h        ; down
        grey    51h, 51E0h, 51E0h, 76E0h, 0A100h        ; PgDn
        grey    52h, 52E0h, 52E0h, 92E0h, 0A200h        ; Ins
        grey    53h, 53E0h, 53E0h, 93E0h, 0A300h        ; Del
grey_table_end:
