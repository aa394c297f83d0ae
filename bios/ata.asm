; ATA hard disks through PIO: find the drives, move sectors, reset.
;
; The transfer is polled, with the drive's interrupt held back (nIEN): INT 13h must work for callers that keep
; interrupts off, and a block that needs no interrupt is cheaper than one that does. nIEN is cleared again
; at the end, so that a driver which takes the disk over finds it as an AT leaves it.
; Sectors move in DRQ blocks of up to 64 sectors (SET MULTIPLE MODE), each with one string instruction.
;
; Conventions inside this file: DS = EBDA_SEG, SI = the drive's record, status = an INT 13h code (DISK_*).
;
; Not implemented: DMA, drives without LBA, ATAPI (left alone).

%include "ata.inc"

; The commands of an operation: LBA28 and LBA48, each first MULTIPLE, then single sectors.
ata_commands:
        db      0C4h, 020h, 029h, 024h  ; XFER_READ
        db      0C5h, 030h, 039h, 034h  ; XFER_WRITE
        db      040h, 040h, 042h, 042h  ; XFER_VERIFY

; ---------------------------------------------------------------------------------------------------------
; Moving sectors
; ---------------------------------------------------------------------------------------------------------

; Read, write or verify sectors.
; In:  EDX:EAX first sector, CX count, ES:DI buffer (any alignment, any size), BL = XFER_*
; Out: AL = status, CX = sectors done. EAX, EBX, ECX, EDX, DI and ES are lost.
ata_transfer:
        mov     [XFER_LBA], eax
        mov     [XFER_LBA + 4], edx
        mov     [XFER_LEFT], cx
        mov     word [XFER_DONE], 0
        mov     [XFER_OP], bl
        call    ata_check_range
        jnz     .end
.command:
        mov     al, DISK_OK
        mov     cx, [XFER_LEFT]
        jcxz    .release
        cmp     cx, MAX_COMMAND
        jbe     .start
        mov     cx, MAX_COMMAND
.start:
        mov     [XFER_COMMAND], cx
        call    ata_start
        jnz     .release
        cmp     byte [XFER_OP], XFER_VERIFY
        je      .verify
.block:
        call    ata_move_block
        jnz     .release
        cmp     word [XFER_COMMAND], 0
        jne     .block
        jmp     .command
.verify:
        call    ata_finish
        jnz     .release
        mov     ax, [XFER_COMMAND]
        call    ata_advance
        jmp     .command
.release:
        call    ata_release
.end:
        mov     cx, [XFER_DONE]
        ret

; Do the XFER_LEFT sectors from XFER_LBA on lie within the disk?
; Out: AL = status, ZF set when they do. EAX, ECX and EDX are lost.
ata_check_range:
        mov     eax, [XFER_LBA]
        mov     edx, [XFER_LBA + 4]
        mov     cl, DISK_BAD_COMMAND
        cmp     edx, [si + DRIVE.sectors + 4]
        jne     .first
        cmp     eax, [si + DRIVE.sectors]
.first: jae     .end
        mov     cl, DISK_NOT_FOUND
        movzx   ebx, word [XFER_LEFT]
        add     eax, ebx
        adc     edx, 0
        cmp     edx, [si + DRIVE.sectors + 4]
        jne     .last
        cmp     eax, [si + DRIVE.sectors]
.last:  ja      .end
        mov     cl, DISK_OK
.end:   mov     al, cl
        test    al, al
        ret

; Give the drive the command that moves the next XFER_COMMAND sectors.
; Out: AL = status, ZF set when it was given. EAX, EBX, ECX and DX are lost.
ata_start:
        mov     al, [si + DRIVE.device]
        call    ata_select
        jnz     .end
        test    ah, ATA_STATUS_DRQ
        jz      .ready
        call    ata_reset               ; a transfer that somebody left half done
        jnz     .end
.ready:
        movzx   ebx, byte [XFER_OP]
        shl     bx, 2
        cmp     byte [si + DRIVE.block], 1
        jne     .address
        inc     bx                      ; single sectors
.address:
        mov     dx, [si + DRIVE.base]
        mov     eax, [XFER_LBA]
        movzx   ecx, word [XFER_COMMAND]
        cmp     dword [XFER_LBA + 4], 0
        jne     .lba48
        add     ecx, eax
        jc      .lba48
        cmp     ecx, LBA28_SECTORS
        ja      .lba48
        call    .registers              ; leaves LBA bits 24-31 in AL
        or      al, [si + DRIVE.device]
        jmp     .go
.lba48:
        add     bx, 2
        mov     eax, [XFER_LBA + 3]     ; each register takes two bytes, the upper one first: LBA bits 24-47
        xor     cx, cx
        call    .count
        mov     eax, [XFER_LBA]
        call    .registers
        mov     al, [si + DRIVE.device]
.go:
        add     dx, ATA_DEVICE - ATA_LBA_HIGH
        out     dx, al
        inc     dx                      ; ATA_COMMAND
        mov     al, [cs:ata_commands + bx]
        out     dx, al
        xor     ax, ax
.end:
        ret
.registers:
        mov     cx, [XFER_COMMAND]
.count:
        mov     dx, [si + DRIVE.base]
        add     dx, ATA_COUNT
        xchg    ax, cx
        out     dx, al
        xchg    ax, cx
%rep 3
        inc     dx                      ; ATA_LBA_LOW, ATA_LBA_MID, ATA_LBA_HIGH
        out     dx, al
        shr     eax, 8
%endrep
        ret

; Move one DRQ block between the drive and ES:DI.
; Out: AL = status, ZF set without an error; ES:DI is behind the block. EAX, BX, CX and DX are lost.
ata_move_block:
        call    ata_finish
        jnz     .end
        test    ah, ATA_STATUS_DRQ
        jz      .lost
        mov     bx, es                  ; keep the offset small, so that the block fits into the segment
        mov     ax, di
        shr     ax, 4
        add     bx, ax
        mov     es, bx
        and     di, 0Fh
        movzx   bx, byte [si + DRIVE.block]
        cmp     bx, [XFER_COMMAND]
        jbe     .size
        mov     bx, [XFER_COMMAND]
.size:
        mov     cx, bx
        shl     cx, 8                   ; words
        mov     dx, [si + DRIVE.base]   ; + ATA_DATA
        cmp     byte [XFER_OP], XFER_WRITE
        je      .write
        rep     insw
        jmp     .moved
.write:
        push    ds
        push    si
        push    es
        pop     ds
        mov     si, di
        rep     outsw
        mov     di, si
        pop     si
        pop     ds
        call    ata_finish              ; only now is it known whether the sectors were written
        jnz     .end
.moved:
        mov     ax, bx
        call    ata_advance
        xor     ax, ax
.end:
        ret
.lost:
        mov     al, DISK_CONTROLLER
        test    al, al
        ret

; Count AX sectors as done.
ata_advance:
        add     [XFER_DONE], ax
        sub     [XFER_LEFT], ax
        sub     [XFER_COMMAND], ax
        movzx   eax, ax
        add     [XFER_LBA], eax
        adc     dword [XFER_LBA + 4], 0
        ret

; ---------------------------------------------------------------------------------------------------------
; Drive and channel
; ---------------------------------------------------------------------------------------------------------

; Select a drive, AL for the device register, with the interrupt held back.
; Out: AL = DISK_OK or DISK_TIMEOUT, ZF accordingly; AH = the drive's status register. DX is lost.
ata_select:
        push    ax
        mov     dx, [si + DRIVE.control]
        mov     al, ATA_CONTROL_FIXED | ATA_CONTROL_NIEN
        out     dx, al
        call    ata_wait                ; a busy drive does not see the device register written
        pop     dx
        jnz     .end
        mov     al, dl
        mov     dx, [si + DRIVE.base]
        add     dx, ATA_DEVICE
        out     dx, al
        call    ata_wait
.end:
        ret

; Let the drive interrupt again. Everything but DX is kept.
ata_release:
        push    ax
        mov     dx, [si + DRIVE.control]
        mov     al, ATA_CONTROL_FIXED
        out     dx, al
        pop     ax
        ret

; Wait until the selected drive is not busy.
; Out: AL = DISK_OK or DISK_TIMEOUT, ZF accordingly; AH = its status register. DX is lost.
ata_wait:
        push    ecx
        mov     dx, [si + DRIVE.base]
        add     dx, ATA_STATUS          ; reading it also withdraws the interrupt request
        mov     ecx, POLL_LIMIT
.poll:
        in      al, dx
        test    al, ATA_STATUS_BSY
        jz      .idle
        push    cx
        mov     cx, POLL_SPIN
        loop    $
        pop     cx
        dec     ecx
        jnz     .poll
        mov     ah, al
        mov     al, DISK_TIMEOUT
        jmp     .end
.idle:
        mov     ah, al
        mov     al, DISK_OK
.end:
        pop     ecx
        test    al, al
        ret

; Wait until the drive is not busy, and find out whether it met an error.
; Out: AL = status, ZF set without an error; AH = the drive's status register. DX is lost.
ata_finish:
        call    ata_wait
        jnz     .end
        test    ah, ATA_STATUS_ERR | ATA_STATUS_DF
        jz      .end
        push    ax
        mov     dx, [si + DRIVE.base]
        inc     dx                      ; ATA_ERROR
        in      al, dx
        call    ata_error_code
        pop     dx
        mov     ah, dh
        test    al, al
.end:
        ret

; Turn the error register (AL) into a status code (AL); AH = status register. DL is lost.
ata_error_code:
        mov     dl, al
        test    ah, ATA_STATUS_DF
        jnz     .fault
        mov     al, DISK_NOT_FOUND
        test    dl, ATA_ERROR_IDNF
        jnz     .end
        mov     al, DISK_BAD_SECTOR
        test    dl, ATA_ERROR_BBK
        jnz     .end
        test    dl, ATA_ERROR_UNC | ATA_ERROR_WP
        jz      .refused
        mov     al, DISK_WRITE_PROTECTED
        cmp     byte [XFER_OP], XFER_WRITE
        je      .end
        mov     al, DISK_BAD_DATA
        ret
.fault:
        mov     al, DISK_WRITE_FAULT
        cmp     byte [XFER_OP], XFER_WRITE
        je      .end
.refused:
        mov     al, DISK_CONTROLLER     ; aborted: the drive refuses a command that it claims to know
.end:
        ret

; Reset the channel of the drive, and prepare its drives again.
; Out: AL = status, ZF set when the drive passed its test. AH, CX and DX are lost.
ata_reset:
        mov     dx, [si + DRIVE.control]
        mov     al, ATA_CONTROL_FIXED | ATA_CONTROL_NIEN | ATA_CONTROL_SRST
        out     dx, al
        in      al, dx                  ; the bit must stay for 5 µs; an access to the bus takes one
        in      al, dx
        in      al, dx
        in      al, dx
        in      al, dx
        mov     al, ATA_CONTROL_FIXED | ATA_CONTROL_NIEN
        out     dx, al
        call    ata_wait
        jnz     .end
        mov     dx, [si + DRIVE.base]
        inc     dx                      ; ATA_ERROR
        in      al, dx
        and     al, ATA_DIAGNOSTIC_MASK
        cmp     al, ATA_DIAGNOSTIC_OK
        mov     al, DISK_RESET_FAILED
        jne     .end
        call    ata_prepare_channel
        mov     al, [si + DRIVE.device]
        call    ata_select
.end:
        ret

; A reset made the drives of the channel forget SET MULTIPLE MODE: set it again. AX, CX and DX are lost.
ata_prepare_channel:
        push    si
        mov     cx, MAX_DRIVES
        mov     dx, [si + DRIVE.base]
        mov     si, DISK_TABLE
.drive:
        cmp     [si + DRIVE.base], dx
        jne     .next
        push    dx
        call    ata_set_multiple
        pop     dx
.next:
        add     si, DRIVE_size
        loop    .drive
        pop     si
        ret

; Tell the drive how many sectors make a DRQ block; one that refuses moves single sectors. AX and DX are lost.
ata_set_multiple:
        cmp     byte [si + DRIVE.block], 1
        jbe     .end
        mov     al, [si + DRIVE.device]
        call    ata_select
        jnz     .single
        mov     dx, [si + DRIVE.base]
        add     dx, ATA_COUNT
        mov     al, [si + DRIVE.block]
        out     dx, al
        add     dx, ATA_COMMAND - ATA_COUNT
        mov     al, ATA_SET_MULTIPLE
        out     dx, al
        call    ata_finish
        jz      .end
.single:
        mov     byte [si + DRIVE.block], 1
.end:
        ret

; ---------------------------------------------------------------------------------------------------------
; Finding drives
; ---------------------------------------------------------------------------------------------------------

; Ask the drive that the record's base, control and device name for its identity.
; In:  ES:DI = 512 bytes for the answer
; Out: ZF set when it is a disk that we can use. EAX, CX and DX are lost.
; An absent drive is found out by a few port accesses, without waiting: either nothing answers at the channel
; and the bus floats (ones; DD7 may be pulled down), or drive 0 answers for drive 1, with a status of 0.
ata_identify:
        mov     dx, [si + DRIVE.control]
        mov     al, ATA_CONTROL_FIXED | ATA_CONTROL_NIEN
        out     dx, al
        mov     dx, [si + DRIVE.base]
        add     dx, ATA_STATUS
        in      al, dx
        mov     ah, al
        or      ah, 80h
        cmp     ah, 0FFh
        je      .absent
        test    al, ATA_STATUS_BSY | ATA_STATUS_DRQ
        jz      .select
        call    ata_reset               ; a warm start in the middle of a transfer
.select:
        mov     dx, [si + DRIVE.base]
        add     dx, ATA_DEVICE
        mov     al, [si + DRIVE.device]
        out     dx, al
        inc     dx                      ; ATA_STATUS
        in      al, dx
        test    al, al
        jz      .absent
        call    ata_wait
        jnz     .end
        mov     dx, [si + DRIVE.base]
        add     dx, ATA_COMMAND
        mov     al, ATA_IDENTIFY
        out     dx, al
        in      al, dx                  ; ATA_STATUS
        test    al, al
        jz      .absent
        call    ata_finish              ; a CD-ROM drive aborts the command
        jnz     .end
        test    ah, ATA_STATUS_DRQ
        jz      .absent
        mov     dx, [si + DRIVE.base]   ; + ATA_DATA
        push    di
        mov     cx, 256
        rep     insw
        pop     di
        test    byte [es:di + IDENTIFY_CONFIG + 1], 80h
        jnz     .end
        mov     ax, [es:di + IDENTIFY_CAPABILITIES]
        not     ax
        test    ax, IDENTIFY_CAN_LBA
        ret
.absent:
        or      al, 1                   ; ZF clear
.end:
        ret
