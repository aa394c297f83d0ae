; INT 19h and INT 18h: find a disk to boot from.
;
; INT 19h lists the devices in boot order, then tries one after the other. A boot sector that cannot go on calls
; INT 18h, and the next device has its turn. When none is left, the screen tells what was tried and why each failed.

BOOT_DEVICES_MAX        equ 8
BOOT_END                equ 0FFh        ; behind the last entry of EBDA_BOOT_DEVICES
BOOT_READ_ATTEMPTS      equ 2

; EBDA_BOOT_RESULTS: an INT 13h status, or one of these
BOOT_NO_SIGNATURE       equ 0F0h
BOOT_GAVE_UP            equ 0F1h        ; its boot sector called INT 18h
BOOT_NO_DRIVE           equ 0F2h

; Nibbles of CMOS_BOOT_ORDER
BOOT_FLOPPY             equ 1
BOOT_HARD_DISKS         equ 2           ; all, in the order of their numbers
BOOT_HARD_DISK_0        equ 8           ; 8–0Bh: drive 80h–83h alone

FIRST_HARD_DISK         equ 80h

int19_handler:
        cli
        call    boot_stack
        call    boot_list
        jmp     boot_next

int18_handler:
        cli
        mov     al, BOOT_GAVE_UP
        jmp     boot_failed

; Continue at the caller with a fresh stack; ES = EBDA, DS = BDA. CX and DX are lost.
boot_stack:
        pop     cx
        xor     dx, dx
        mov     ss, dx
        mov     esp, BOOT_OFFSET
        load_seg ds, BDA_SEG
        mov     es, [BDA_EBDA_SEG]
        sti
        cld
        jmp     cx

; ---------------------------------------------------------------------------------------------------------
; The list of devices
; ---------------------------------------------------------------------------------------------------------
boot_list:
        mov     byte [es:EBDA_BOOT_NEXT], 0
        mov     di, EBDA_BOOT_DEVICES
        mov     al, CMOS_BOOT_ORDER
        call    cmos_read
        mov     bl, al
        and     al, 0Fh
        call    boot_list_add
        mov     al, bl
        shr     al, 4
        call    boot_list_add
        cmp     di, EBDA_BOOT_DEVICES
        jne     .end
        mov     al, BOOT_HARD_DISKS     ; no order set up
        call    boot_list_add
.end:
        mov     byte [es:di], BOOT_END
        ret

; Append what the nibble AL stands for at ES:DI.
boot_list_add:
        cmp     al, BOOT_FLOPPY
        je      .floppy
        cmp     al, BOOT_HARD_DISKS
        je      .hard_disks
        sub     al, BOOT_HARD_DISK_0
        cmp     al, 4
        jae     .done
        add     al, FIRST_HARD_DISK
        stosb
.done:
        ret
.floppy:
        xor     al, al
        stosb
        ret
.hard_disks:
        mov     al, FIRST_HARD_DISK
        movzx   cx, byte [BDA_DISK_COUNT]
        jcxz    .one                    ; list it, so that the message can say that it is not there
.next:
        stosb
        inc     ax
        loop    .next
        ret
.one:
        stosb
        ret

; ---------------------------------------------------------------------------------------------------------
; Trying
; ---------------------------------------------------------------------------------------------------------
; AL = why the present device did not boot.
boot_failed:
        call    boot_stack
        movzx   bx, byte [es:EBDA_BOOT_NEXT]
        mov     [es:EBDA_BOOT_RESULTS + bx], al
        inc     byte [es:EBDA_BOOT_NEXT]

boot_next:
        movzx   bx, byte [es:EBDA_BOOT_NEXT]
        mov     dl, [es:EBDA_BOOT_DEVICES + bx]
        cmp     dl, BOOT_END
        je      boot_nothing

        mov     ah, 15h                 ; AH = 0: no such drive
        push    dx
        int     13h
        pop     dx
        mov     al, BOOT_NO_DRIVE
        jc      boot_failed
        test    ah, ah
        jz      boot_failed

        mov     di, BOOT_READ_ATTEMPTS
.read:
        load_seg es, 0
        mov     bx, BOOT_OFFSET
        mov     cx, 0001h               ; cylinder 0, sector 1
        mov     dh, 0
        mov     ax, 0201h
        int     13h
        mov     al, ah
        jnc     .loaded
        push    ax
        mov     ah, 00h
        int     13h
        pop     ax
        dec     di
        jnz     .read
        jmp     boot_failed
.loaded:
        mov     al, BOOT_NO_SIGNATURE
        cmp     word [es:BOOT_OFFSET + BOOT_SIGNATURE_OFFSET], BOOT_SIGNATURE
        jne     boot_failed

        xor     ax, ax                  ; DL = the drive; everything else 0
        mov     ds, ax
        mov     es, ax
        xor     ebx, ebx
        xor     ecx, ecx
        movzx   edx, dl
        xor     esi, esi
        xor     edi, edi
        xor     ebp, ebp
        xor     eax, eax
        jmp     0000h:BOOT_OFFSET

; ---------------------------------------------------------------------------------------------------------
; Nothing left: say so, and try again when a key is pressed
; ---------------------------------------------------------------------------------------------------------
boot_nothing:
        print   13, 10, 'No bootable disk found.', 13, 10
        xor     bx, bx
.next:
        mov     al, [es:EBDA_BOOT_DEVICES + bx]
        cmp     al, BOOT_END
        je      .ask
        print   '  Drive '
        call    print_hex8
        print   'h: '
        mov     al, [es:EBDA_BOOT_RESULTS + bx]
        call    boot_reason
        print   13, 10
        inc     bx
        jmp     .next
.ask:
        print   'Press a key to try again.', 13, 10
        mov     ah, 00h
        int     16h
        int     19h

; Print what the result AL means.
boot_reason:
        cmp     al, BOOT_NO_DRIVE
        je      .no_drive
        cmp     al, BOOT_NO_SIGNATURE
        je      .no_signature
        cmp     al, BOOT_GAVE_UP
        je      .gave_up
        print   'read error '
        call    print_hex8
        print   'h'
        ret
.no_drive:
        print   'no such drive'
        ret
.no_signature:
        print   'its boot sector has no signature 55AAh'
        ret
.gave_up:
        print   'its boot sector found nothing to start'
        ret
