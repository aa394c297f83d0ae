; Register values of the video modes, as the IBM technical reference lists them, and the palettes.

; ---------------------------------------------------------------------------------------------------------
; Video parameter table: one block of 64 bytes per mode, in the order that programs expect behind the save pointer
; (BDA_VIDEO_SAVE_PTR). INT 10h AH=1Ch stores the registers in the same layout.
; ---------------------------------------------------------------------------------------------------------
PARAM_COLUMNS           equ 00h         ; byte
PARAM_ROWS              equ 01h         ; byte: rows - 1
PARAM_CHAR_HEIGHT       equ 02h         ; byte
PARAM_PAGE_SIZE         equ 03h         ; word
PARAM_SEQUENCER         equ 05h         ; sequencer registers 1–4
PARAM_MISC              equ 09h         ; miscellaneous output register
PARAM_CRTC              equ 0Ah         ; CRTC registers 00h–18h
PARAM_ATTRIBUTE         equ 23h         ; attribute controller registers 00h–13h
PARAM_GRAPHICS          equ 37h         ; graphics controller registers 0–8
PARAM_SIZE              equ 40h
SEQUENCER_REGISTERS     equ 4
ATTRIBUTE_REGISTERS     equ 20
GRAPHICS_REGISTERS      equ 9

; params columns, rows, char height, page size, SR1, SR2, SR4, misc (SR3, the font selection, is 0 in every mode)
%macro params 8
        db      %1, %2 - 1, %3
        dw      %4
        db      %5, %6, 0, %7, %8
%endmacro

; crtc horizontal timing, end of horizontal retrace, vertical timing, CR09, cursor start, cursor end, pitch, CR14, CR17
; A horizontal timing H_* is CR00–CR04; a vertical timing V_* is CR06, CR07 and CR10, CR11, CR12, CR15, CR16.
%macro crtc 9
        db      %1_TIMING, %2, %3_TOTAL, 0, %4, %5, %6, 0, 0, 0, 0
        db      %3_RETRACE, %3_DISPLAY_END, %7, %8, %3_BLANKING, %9, 0FFh
%endmacro

%define H_40_TIMING             02Dh, 027h, 028h, 090h, 02Bh
%define H_80_TIMING             05Fh, 04Fh, 050h, 082h, 055h
%define H_80_GRAPHICS_TIMING    05Fh, 04Fh, 050h, 082h, 054h

%define V_400_TOTAL             0BFh, 01Fh      ; 449 lines at 70 Hz
%define V_400_RETRACE           09Ch, 08Eh
%define V_400_DISPLAY_END       08Fh
%define V_400_BLANKING          096h, 0B9h
%define V_350_TOTAL             0BFh, 01Fh
%define V_350_RETRACE           083h, 085h
%define V_350_DISPLAY_END       05Dh
%define V_350_BLANKING          063h, 0BAh
%define V_480_TOTAL             00Bh, 03Eh      ; 525 lines at 60 Hz
%define V_480_RETRACE           0EAh, 08Ch
%define V_480_DISPLAY_END       0DFh
%define V_480_BLANKING          0E7h, 004h

; attributes mode control, planes enabled, pixel panning: what follows the 16 palette registers; the border is black
%macro attributes 3
        db      %1, 0, %2, %3
%endmacro
; graphics mode, miscellaneous, colours that count: GR5–GR7; GR0–GR4 are 0, the bit mask is open
%macro graphics 3
        db      0, 0, 0, 0, 0, %1, %2, %3, 0FFh
%endmacro

; The 16 palette registers
%macro palette_rgbi 0                   ; the CGA's colours, in modes with its line rate
        db      00h, 01h, 02h, 03h, 04h, 05h, 06h, 07h, 10h, 11h, 12h, 13h, 14h, 15h, 16h, 17h
%endmacro
%macro palette_ega 0                    ; the same colours among the EGA's 64; 14h is brown
        db      00h, 01h, 02h, 03h, 04h, 05h, 14h, 07h, 38h, 39h, 3Ah, 3Bh, 3Ch, 3Dh, 3Eh, 3Fh
%endmacro
%macro palette_mono 0
        db      00h
        times 7 db 08h
        db      10h
        times 7 db 18h
%endmacro
%macro palette_cga_4 0                  ; four colours: black, cyan, magenta, white
        db      00h, 13h, 15h, 17h, 02h, 04h, 06h, 07h, 10h, 11h, 12h, 13h, 14h, 15h, 16h, 17h
%endmacro
%macro palette_mode_6 0
        db      00h
        times 15 db 17h
%endmacro
%macro palette_mode_11 0                ; only plane 0 counts
        times 8 db 00h, 3Fh
%endmacro
%macro palette_mono_graphics 0          ; black, normal, blinking, bright
        db      00h, 08h, 00h, 00h, 18h, 18h, 00h, 00h, 00h, 08h, 00h, 00h, 00h, 18h, 00h, 00h
%endmacro
%macro palette_identity 0
        db      00h, 01h, 02h, 03h, 04h, 05h, 06h, 07h, 08h, 09h, 0Ah, 0Bh, 0Ch, 0Dh, 0Eh, 0Fh
%endmacro

; Text modes: 40 columns double each dot (SR1 bit 3), 400-line modes have cells 9 dots wide (SR1 bit 0 clear).
%macro text_40_200 0
        params  40, 25, 8, 800h, 09h, 03h, 02h, 63h
        crtc    H_40, 0A0h, V_400, 0C7h, 6, 7, 14h, 1Fh, 0A3h
        palette_rgbi
        attributes 08h, 0Fh, 00h
        graphics 10h, 0Eh, 00h
%endmacro
%macro text_80_200 0
        params  80, 25, 8, 1000h, 01h, 03h, 02h, 63h
        crtc    H_80, 81h, V_400, 0C7h, 6, 7, 28h, 1Fh, 0A3h
        palette_rgbi
        attributes 08h, 0Fh, 00h
        graphics 10h, 0Eh, 00h
%endmacro
%macro text_40_350 0
        params  40, 25, 14, 800h, 09h, 03h, 02h, 0A3h
        crtc    H_40, 0A0h, V_350, 4Dh, 0Bh, 0Ch, 14h, 1Fh, 0A3h
        palette_ega
        attributes 08h, 0Fh, 00h
        graphics 10h, 0Eh, 00h
%endmacro
%macro text_80_350 0
        params  80, 25, 14, 1000h, 01h, 03h, 02h, 0A3h
        crtc    H_80, 81h, V_350, 4Dh, 0Bh, 0Ch, 28h, 1Fh, 0A3h
        palette_ega
        attributes 08h, 0Fh, 00h
        graphics 10h, 0Eh, 00h
%endmacro
%macro cga_4_colours 0
        params  40, 25, 8, 4000h, 09h, 03h, 02h, 63h
        crtc    H_40, 80h, V_400, 0C1h, 0, 0, 14h, 00h, 0A2h
        palette_cga_4
        attributes 01h, 03h, 00h
        graphics 30h, 0Fh, 00h
%endmacro
%macro reserved_mode 0
        times PARAM_SIZE db 0
%endmacro

        align 16
video_parameters:
        text_40_200                     ; 00h mode 0, 200 lines
        text_40_200                     ; 01h mode 1
        text_80_200                     ; 02h mode 2
        text_80_200                     ; 03h mode 3
        cga_4_colours                   ; 04h mode 4: 320×200
        cga_4_colours                   ; 05h mode 5

        params  80, 25, 8, 4000h, 01h, 01h, 06h, 63h            ; 06h mode 6: 640×200, two colours
        crtc    H_80_GRAPHICS, 80h, V_400, 0C1h, 0, 0, 28h, 00h, 0C2h
        palette_mode_6
        attributes 01h, 01h, 00h
        graphics 00h, 0Dh, 00h

        params  80, 25, 14, 1000h, 00h, 03h, 03h, 0A6h          ; 07h mode 7, 350 lines
        crtc    H_80, 81h, V_350, 4Dh, 0Bh, 0Ch, 28h, 0Dh, 0A3h
        palette_mono
        attributes 0Eh, 0Fh, 08h
        graphics 10h, 0Ah, 00h

%rep 5
        reserved_mode                   ; 08h–0Ch
%endrep

        params  40, 25, 8, 2000h, 09h, 0Fh, 06h, 63h            ; 0Dh mode 0Dh: 320×200, 16 colours
        crtc    H_40, 80h, V_400, 0C0h, 0, 0, 14h, 00h, 0E3h
        palette_rgbi
        attributes 01h, 0Fh, 00h
        graphics 00h, 05h, 0Fh

        params  80, 25, 8, 4000h, 01h, 0Fh, 06h, 63h            ; 0Eh mode 0Eh: 640×200, 16 colours
        crtc    H_80_GRAPHICS, 80h, V_400, 0C0h, 0, 0, 28h, 00h, 0E3h
        palette_rgbi
        attributes 01h, 0Fh, 00h
        graphics 00h, 05h, 0Fh

        reserved_mode                   ; 0Fh, 10h: the EGA's versions for 64 KiB
        reserved_mode

        params  80, 25, 14, 8000h, 01h, 0Fh, 06h, 0A2h          ; 11h mode 0Fh: 640×350, monochrome
        crtc    H_80_GRAPHICS, 80h, V_350, 40h, 0, 0, 28h, 0Fh, 0E3h
        palette_mono_graphics
        attributes 0Bh, 05h, 00h
        graphics 00h, 05h, 05h

        params  80, 25, 14, 8000h, 01h, 0Fh, 06h, 0A3h          ; 12h mode 10h: 640×350, 16 colours
        crtc    H_80_GRAPHICS, 80h, V_350, 40h, 0, 0, 28h, 0Fh, 0E3h
        palette_ega
        attributes 01h, 0Fh, 00h
        graphics 00h, 05h, 0Fh

        text_40_350                     ; 13h mode 0, 350 lines
        text_40_350                     ; 14h mode 1
        text_80_350                     ; 15h mode 2
        text_80_350                     ; 16h mode 3

        params  40, 25, 16, 800h, 08h, 03h, 02h, 67h            ; 17h modes 0 and 1, 400 lines
        crtc    H_40, 0A0h, V_400, 4Fh, 0Dh, 0Eh, 14h, 1Fh, 0A3h
        palette_ega
        attributes 0Ch, 0Fh, 08h
        graphics 10h, 0Eh, 00h

        params  80, 25, 16, 1000h, 00h, 03h, 02h, 67h           ; 18h modes 2 and 3, 400 lines
        crtc    H_80, 81h, V_400, 4Fh, 0Dh, 0Eh, 28h, 1Fh, 0A3h
        palette_ega
        attributes 0Ch, 0Fh, 08h
        graphics 10h, 0Eh, 00h

        params  80, 25, 16, 1000h, 00h, 03h, 02h, 66h           ; 19h mode 7, 400 lines
        crtc    H_80, 81h, V_400, 4Fh, 0Dh, 0Eh, 28h, 0Fh, 0A3h
        palette_mono
        attributes 0Eh, 0Fh, 08h
        graphics 10h, 0Ah, 00h

        params  80, 30, 16, 0A000h, 01h, 0Fh, 06h, 0E3h         ; 1Ah mode 11h: 640×480, two colours
        crtc    H_80_GRAPHICS, 80h, V_480, 40h, 0, 0, 28h, 00h, 0E3h
        palette_mode_11
        attributes 01h, 0Fh, 00h
        graphics 00h, 05h, 0Fh

        params  80, 30, 16, 0A000h, 01h, 0Fh, 06h, 0E3h         ; 1Bh mode 12h: 640×480, 16 colours
        crtc    H_80_GRAPHICS, 80h, V_480, 40h, 0, 0, 28h, 00h, 0E3h
        palette_ega
        attributes 01h, 0Fh, 00h
        graphics 00h, 05h, 0Fh

        params  40, 25, 8, 2000h, 01h, 0Fh, 0Eh, 63h            ; 1Ch mode 13h: 320×200, 256 colours
        crtc    H_80_GRAPHICS, 80h, V_400, 41h, 0, 0, 28h, 40h, 0A3h
        palette_identity
        attributes 41h, 0Fh, 00h
        graphics 40h, 05h, 0Fh
PARAM_BLOCKS            equ 1Dh
%if $ - video_parameters != PARAM_BLOCKS * PARAM_SIZE
        %error "a block of the video parameter table has the wrong size"
%endif

; Mode -> block. Modes 0–7 depend on the number of lines.
NO_BLOCK                equ 0FFh
mode_blocks_200:
        db      00h, 01h, 02h, 03h, 04h, 05h, 06h, 07h
mode_blocks_350:
        db      13h, 14h, 15h, 16h, 04h, 05h, 06h, 07h
mode_blocks_400:
        db      17h, 17h, 18h, 18h, 04h, 05h, 06h, 19h
mode_blocks_high:                       ; modes 08h–13h
        times 5 db NO_BLOCK
        db      0Dh, 0Eh, 11h, 12h, 1Ah, 1Bh, 1Ch
MODE_LAST               equ 13h

; ---------------------------------------------------------------------------------------------------------
; What the BDA's save pointer leads to
; ---------------------------------------------------------------------------------------------------------
video_save_pointers:
        dw      video_parameters, ROM_SEG
        dd      0, 0, 0                 ; no saved palette, no fonts for text or graphics
        dw      video_save_pointers_2, ROM_SEG
        dd      0, 0
video_save_pointers_2:
        dw      SAVE_POINTERS_2_SIZE
        dw      combination_codes, ROM_SEG
        dd      0, 0, 0, 0, 0
SAVE_POINTERS_2_SIZE    equ $ - video_save_pointers_2

; Display combinations: pairs of adapters (01h MDA, 02h CGA, 04h/05h EGA colour/mono, 06h PGC, 07h/08h VGA mono/colour)
; that may sit in one PC. BDA_VIDEO_DCC is an index into the pairs.
combination_codes:
        db      COMBINATIONS, 1, 08h, 0 ; count, version, highest code
.pairs:
        db      00h,00h, 00h,01h, 00h,02h, 02h,01h, 00h,04h, 04h,01h, 00h,05h, 02h,05h
        db      00h,06h, 01h,06h, 05h,06h, 00h,08h, 01h,08h, 00h,07h, 02h,07h, 06h,07h
COMBINATIONS            equ ($ - .pairs) / 2
COMBINATION_VGA_COLOUR  equ 0Bh
CODE_UNKNOWN            equ 0FFh

; INT 10h AH=1Bh: what this adapter can do
static_functionality:
        db      11111111b, 11100000b, 00001111b         ; modes 0–7, 0Dh–0Fh, 10h–13h
        db      0, 0, 0, 0
        db      00000111b               ; text with 200, 350 and 400 lines
        db      8, 2                    ; fonts in memory, fonts active at once
        db      11111111b               ; every mode on every display, gray summing, font and palette loading,
                                        ; cursor emulation, EGA palette, DAC, DAC paging
        db      00001110b               ; save and restore, blink or intensity, display combinations
        dw      0
        db      0, 0

; INT 1Dh: 6845 values for the adapters of the first PC. Nothing here uses them; old programs may read them.
crt_parameters:
        db      38h, 28h, 2Dh, 0Ah, 1Fh, 06h, 19h, 1Ch, 02h, 07h, 06h, 07h, 0, 0, 0, 0     ; 40×25
        db      71h, 50h, 5Ah, 0Ah, 1Fh, 06h, 19h, 1Ch, 02h, 07h, 06h, 07h, 0, 0, 0, 0     ; 80×25
        db      38h, 28h, 2Dh, 0Ah, 7Fh, 06h, 64h, 70h, 02h, 01h, 06h, 07h, 0, 0, 0, 0     ; graphics
        db      61h, 50h, 52h, 0Fh, 19h, 06h, 19h, 19h, 02h, 0Dh, 0Bh, 0Ch, 0, 0, 0, 0     ; monochrome
        dw      800h, 1000h, 4000h, 4000h                       ; memory used
        db      40, 40, 80, 80, 40, 40, 80, 80                  ; columns of modes 0–7
cga_mode_registers:                                             ; 3D8h in modes 0–7
        db      2Ch, 28h, 2Dh, 29h, 2Ah, 2Eh, 1Eh, 29h

; ---------------------------------------------------------------------------------------------------------
; DAC palettes: 6 bits each of red, green and blue
; ---------------------------------------------------------------------------------------------------------

; EGA: bits 0–2 of the number are two thirds, bits 3–5 one third of blue, green and red.
dac_ega:
%assign colour 0
%rep 64
        db      (colour >> 2 & 1) * 2Ah + (colour >> 5 & 1) * 15h
        db      (colour >> 1 & 1) * 2Ah + (colour >> 4 & 1) * 15h
        db      (colour & 1) * 2Ah + (colour >> 3 & 1) * 15h
  %assign colour colour + 1
%endrep

; RGBI for the CGA's modes: bit 4 is intensity, bits 3 and 5 do not count. Colour 6 is brown, not dark yellow.
%macro rgbi 1
  %assign %%light (%1 >> 4 & 1) * 15h
        db      (%1 >> 2 & 1) * 2Ah + %%light
  %if %1 == 6
        db      15h
  %else
        db      (%1 >> 1 & 1) * 2Ah + %%light
  %endif
        db      (%1 & 1) * 2Ah + %%light
%endmacro
dac_rgbi:
%assign colour 0
%rep 64
        rgbi    (colour & 17h)
  %assign colour colour + 1
%endrep

; Monochrome: bit 3 is video, bit 4 intensity; both together are bright.
dac_mono:
%rep 2
        times 8 * 3 db 00h
        times 16 * 3 db 2Ah
        times 8 * 3 db 3Fh
%endrep

; 256 colours: the CGA's 16, 16 grays, then nine wheels of 24 hues that differ in saturation and brightness;
; the last 8 are black.
; wheel 5 levels: once round, from blue over red and green back to blue
%macro wheel 5
        db      %1,%1,%5, %2,%1,%5, %3,%1,%5, %4,%1,%5, %5,%1,%5, %5,%1,%4, %5,%1,%3, %5,%1,%2
        db      %5,%1,%1, %5,%2,%1, %5,%3,%1, %5,%4,%1, %5,%5,%1, %4,%5,%1, %3,%5,%1, %2,%5,%1
        db      %1,%5,%1, %1,%5,%2, %1,%5,%3, %1,%5,%4, %1,%5,%5, %1,%4,%5, %1,%3,%5, %1,%2,%5
%endmacro
%macro grays 1-*
  %rep %0
        db      %1, %1, %1
    %rotate 1
  %endrep
%endmacro
dac_256:
%assign colour 0
%rep 16
        rgbi    ((colour & 7) | (colour & 8) << 1)
  %assign colour colour + 1
%endrep
        grays   00h, 05h, 08h, 0Bh, 0Eh, 11h, 14h, 18h, 1Ch, 20h, 24h, 28h, 2Dh, 32h, 38h, 3Fh
        wheel   00h, 10h, 1Fh, 2Fh, 3Fh
        wheel   1Fh, 27h, 2Fh, 37h, 3Fh
        wheel   2Dh, 31h, 36h, 3Ah, 3Fh
        wheel   00h, 07h, 0Eh, 15h, 1Ch
        wheel   0Eh, 11h, 15h, 18h, 1Ch
        wheel   14h, 16h, 18h, 1Ah, 1Ch
        wheel   00h, 04h, 08h, 0Ch, 10h
        wheel   08h, 0Ah, 0Ch, 0Eh, 10h
        wheel   0Bh, 0Ch, 0Dh, 0Fh, 10h
        times 8 * 3 db 0
%if $ - dac_256 != 256 * 3
        %error "the palette of 256 colours has the wrong size"
%endif
