; INT 10h, the display: entry point, cursor and pages (functions 01h–05h, 0Fh).
;
;   video_text.asm    scrolling, characters, teletype and strings (06h–0Ah, 0Eh, 13h)
;   video_mode.asm    power-on set-up and mode set (00h)
;   video_palette.asm border, palette registers, DAC (0Bh, 10h)
;   video_font.asm    character generator (11h)
;   video_state.asm   questions about the adapter (12h, 1Ah, 1Bh)
;   video_save.asm    save and restore (1Ch)
;   video_tables.asm  register values of all modes, palettes
;
; Inside a function: BP addresses the frame of `int_enter`, DS = BDA_SEG, ES and the general registers are still the
; caller's (SI excepted). A result is written into the frame; nothing needs to be preserved but BP and DS.
;
; Not implemented: characters and pixels in graphics modes (functions 06h–0Ah, 0Ch–0Eh and 13h do nothing there),
; the light pen, VESA extensions.

MONO_SEG                equ 0B000h      ; text memory of mode 7
TEXT_MEMORY_SIZE        equ 8000h
VIDEO_PAGES             equ 8           ; cursor positions kept in the BDA
MODE_LAST_COLOUR_TEXT   equ 3
MODE_MONO_TEXT          equ 7
BLANK                   equ ' '

BDA_BELL_TICKS          equ 0ACh        ; byte: timer ticks until the bell falls silent, 0 = silent

; BDA_VIDEO_CONTROL
CONTROL_NO_EMULATION    equ 01h         ; cursor lines are taken literally
CONTROL_MEMORY_256K     equ 60h
CONTROL_NOT_CLEARED     equ 80h         ; the last mode set kept the memory
; BDA_VIDEO_SWITCHES
SWITCHES_MASK           equ 0Fh         ; an EGA's DIP switches: primary adapter, its kind of display
SWITCHES_200_LINES      equ 08h
SWITCHES_ENHANCED       equ 09h
SWITCHES_DEFAULT        equ 0F0h | SWITCHES_ENHANCED
; BDA_VIDEO_FLAGS
FLAGS_VGA_ACTIVE        equ 01h
FLAGS_GRAY_SUMMING      equ 02h
FLAGS_KEEP_PALETTE      equ 08h         ; a mode set leaves the palette alone
FLAGS_400_LINES         equ 10h         ; neither this nor 200: 350 lines
FLAGS_DISPLAY_SWITCH    equ 40h
FLAGS_200_LINES         equ 80h

; CRT controller, register numbers
CRTC_MAX_SCAN_LINE      equ 09h
CRTC_CURSOR_START       equ 0Ah
CRTC_CURSOR_END         equ 0Bh
CRTC_START_HIGH         equ 0Ch
CRTC_START_LOW          equ 0Dh
CRTC_CURSOR_HIGH        equ 0Eh
CRTC_CURSOR_LOW         equ 0Fh
CRTC_VSYNC_END          equ 11h         ; bit 7 protects registers 0–7
CRTC_VDISPLAY_END       equ 12h
CRTC_UNDERLINE          equ 14h
CRTC_REGISTERS          equ 25
CRTC_TO_STATUS          equ 6           ; distance from the index port to input status register 1
CURSOR_OFF              equ 20h         ; in the cursor start register

; out_crtc 0Fh, al: write one CRTC register; DX = index port; clobbers AX.
%macro out_crtc 2
        mov     ah, %2
        mov     al, %1
        out     dx, ax
%endmacro

; ---------------------------------------------------------------------------------------------------------
; Entry
; ---------------------------------------------------------------------------------------------------------

int10_handler:
        cmp     ah, 0Eh
        je      teletype_quick
.dispatch:
        int_enter
        load_seg ds, BDA_SEG
        movzx   si, ah
        cmp     si, INT10_FUNCTIONS
        jae     .leave
        add     si, si
        call    [cs:int10_functions + si]
.leave:
        int_leave

int10_functions:
        dw      video_set_mode          ; 00h
        dw      video_set_cursor_shape  ; 01h
        dw      video_set_cursor        ; 02h
        dw      video_get_cursor        ; 03h
        dw      video_light_pen         ; 04h
        dw      video_set_page          ; 05h
        dw      video_scroll            ; 06h up
        dw      video_scroll            ; 07h down
        dw      video_read_cell         ; 08h
        dw      video_write_cells       ; 09h
        dw      video_write_chars       ; 0Ah
        dw      video_border            ; 0Bh
        dw      video_ignored           ; 0Ch write pixel
        dw      video_ignored           ; 0Dh read pixel
        dw      video_teletype          ; 0Eh
        dw      video_get_mode          ; 0Fh
        dw      video_palette           ; 10h
        dw      video_font              ; 11h
        dw      video_alternate         ; 12h
        dw      video_write_string      ; 13h
        times 6 dw video_ignored        ; 14h–19h
        dw      video_combination       ; 1Ah
        dw      video_state_info        ; 1Bh
        dw      video_save_restore      ; 1Ch
INT10_FUNCTIONS         equ ($ - int10_functions) / 2

video_ignored:
        ret

; Go on at the handler of subfunction AL. CS:SI = table of `subfunction` lines closed by `subfunctions_end`.
; Clobbers AH, SI.
video_subfunction:
        mov     ah, [cs:si]
        cmp     ah, al
        je      .found
        cmp     ah, NO_SUBFUNCTION
        je      .found
        add     si, 3
        jmp     video_subfunction
.found:
        jmp     [cs:si + 1]

NO_SUBFUNCTION          equ 0FFh
%macro subfunction 2
        db      %1
        dw      %2
%endmacro
%macro subfunctions_end 0
        subfunction NO_SUBFUNCTION, video_ignored
%endmacro

; ---------------------------------------------------------------------------------------------------------
; Cursor and pages
; ---------------------------------------------------------------------------------------------------------

; 01h: CH = first, CL = last scan line.
video_set_cursor_shape:
        mov     [BDA_CURSOR_SHAPE], cx
; Give the CRTC the shape kept in the BDA. Clobbers AX, CX, DX.
program_cursor_shape:
        mov     cx, [BDA_CURSOR_SHAPE]
        test    byte [BDA_VIDEO_CONTROL], CONTROL_NO_EMULATION
        jnz     .literal
        call    emulate_cursor
.literal:
        mov     dx, [BDA_CRTC_PORT]
        out_crtc CRTC_CURSOR_START, ch
        out_crtc CRTC_CURSOR_END, cl
        ret

; Programs written for the CGA know cells of 8 lines. CX = shape in such a cell -> shape in the cell of now.
; A thin cursor near the bottom stays thin and one line above the cell's last; a block keeps its proportions.
; Clobbers AX.
emulate_cursor:
        mov     ah, [BDA_CHAR_HEIGHT]
        cmp     ah, 8
        jbe     .done
        cmp     cl, 8                   ; it is not in a cell of 8 lines
        jae     .done
        cmp     ch, cl                  ; CURSOR_OFF, or no lines at all
        ja      .done
        mov     al, cl
        sub     al, ch
        cmp     al, 1
        ja      .block
        cmp     ch, 4                   ; near the top: lines counted from the top
        jb      .done
        sub     ah, 9
        add     ch, ah
        add     cl, ah
        ret
.block:
        mov     al, ah
        mul     ch
        shr     ax, 3
        mov     ch, al
        mov     al, [BDA_CHAR_HEIGHT]
        inc     cl
        mul     cl
        shr     ax, 3
        dec     ax
        mov     cl, al
.done:
        ret

; 02h: BH = page, DH = row, DL = column.
video_set_cursor:
        call    store_cursor
        jne     .hidden
        jmp     program_cursor
.hidden:
        ret

; DX = new cursor position of page BH. ZF set: this page is the visible one. Clobbers SI.
store_cursor:
        movzx   si, bh
        and     si, VIDEO_PAGES - 1
        add     si, si
        mov     [BDA_CURSOR_POS + si], dx
        cmp     bh, [BDA_VIDEO_PAGE]
        ret

; DX = cursor position of page BH. Clobbers SI.
load_cursor:
        movzx   si, bh
        and     si, VIDEO_PAGES - 1
        add     si, si
        mov     dx, [BDA_CURSOR_POS + si]
        ret

; Show the cursor of the visible page where the BDA says it is. Clobbers AX, BX, DX, SI, DI.
program_cursor:
        mov     bh, [BDA_VIDEO_PAGE]
        call    load_cursor
        call    cell_offset
        shr     di, 1
        mov     bx, di
        mov     dx, [BDA_CRTC_PORT]
        out_crtc CRTC_CURSOR_HIGH, bh
        out_crtc CRTC_CURSOR_LOW, bl
        ret

; 03h: BH = page -> DX = position, CX = shape.
video_get_cursor:
        call    load_cursor
        mov     [bp + FRAME_DX], dx
        mov     ax, [BDA_CURSOR_SHAPE]
        mov     [bp + FRAME_CX], ax
        ret

; 04h: there is no light pen.
video_light_pen:
        mov     byte [bp + FRAME_AH], 0
        ret

; 05h: AL = page to show.
video_set_page:
        cmp     al, VIDEO_PAGES
        jae     video_ignored
        mov     [BDA_VIDEO_PAGE], al
        movzx   bx, al
        imul    bx, [BDA_VIDEO_PAGE_SIZE]
        mov     [BDA_VIDEO_PAGE_START], bx
        call    text_segment
        jc      .graphics               ; the CRTC counts words in text modes, bytes in graphics modes
        shr     bx, 1
.graphics:
        mov     dx, [BDA_CRTC_PORT]
        out_crtc CRTC_START_HIGH, bh
        out_crtc CRTC_START_LOW, bl
        jmp     program_cursor

; 0Fh -> AL = mode, AH = columns, BH = page.
video_get_mode:
        mov     al, [BDA_VIDEO_CONTROL]
        and     al, CONTROL_NOT_CLEARED
        or      al, [BDA_VIDEO_MODE]
        mov     ah, [BDA_VIDEO_COLUMNS]
        mov     [bp + FRAME_AX], ax
        mov     al, [BDA_VIDEO_PAGE]
        mov     [bp + FRAME_BH], al
        ret

; ES = text memory; CF set: the mode is a graphics mode.
text_segment:
        cmp     byte [BDA_VIDEO_MODE], MODE_MONO_TEXT
        je      .mono
        cmp     byte [BDA_VIDEO_MODE], MODE_LAST_COLOUR_TEXT + 1
        cmc
        load_seg es, TEXT_SEG
        ret
.mono:
        load_seg es, MONO_SEG
        ret

; DI = offset in text memory of row DH, column DL of page BH.
cell_offset:
        push    ax
        mov     al, dh
        mul     byte [BDA_VIDEO_COLUMNS]
        add     al, dl
        adc     ah, 0
        add     ax, ax
        movzx   di, bh
        imul    di, [BDA_VIDEO_PAGE_SIZE]
        add     di, ax
        pop     ax
        ret

%include "video_text.asm"
%include "video_mode.asm"
%include "video_palette.asm"
%include "video_font.asm"
%include "video_state.asm"
%include "video_save.asm"
%include "video_tables.asm"
