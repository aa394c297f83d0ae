; Protected mode. A: software interrupts to a handler that returns at once. B: the same with paging, V: from
; virtual 8086 mode. F: page faults whose handler goes on behind the access. L and M: reads of many pages that
; the TLB knows, and that it has to be filled with; P and Q: the same with paging.

        %include "frame.inc"

INTERRUPTS      equ 50_000
ROUNDS          equ 250
PAGES           equ 200
VECTOR          equ 60h
PAGE_FAULT      equ 14

CODE            equ 8
DATA            equ 10h
TASK            equ 18h
STACK           equ 7C00h

; All in conventional memory but what is read
IDT             equ 20000h
DIRECTORY       equ 21000h
TABLE           equ 22000h              ; of the first 4 MiB: as they are
ABSENT_TABLE    equ 23000h              ; of the next 4 MiB
TSS             equ 24000h
MANY_PAGES      equ 200000h
ABSENT_PAGE     equ 400000h
PRESENT         equ 7                   ; writable, for users, too
CR0_PE          equ 1
CR0_WP          equ 10000h
CR0_PG          equ 80000000h
VIRTUAL_FLAGS   equ 23002h              ; VM, IOPL 3

        cli
        in      al, 92h
        or      al, 2
        and     al, 0FEh
        out     92h, al
        lgdt    [gdt_register]
        mov     eax, cr0
        or      al, CR0_PE
        mov     cr0, eax
        jmp     dword CODE:protected

        bits    32
protected:
        mov     ax, DATA
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, STACK
        mov     edi, IDT
        mov     ecx, 4000h / 4
        xor     eax, eax
        rep     stosd
        mov     edi, TSS
        mov     ecx, 104 / 4
        rep     stosd
        mov     dword [TSS + 4], STACK - 100h   ; of level 0
        mov     dword [TSS + 8], DATA
        mov     ax, TASK
        ltr     ax
        mov     edi, IDT + VECTOR * 8
        mov     eax, handler
        call    gate
        mov     edi, IDT + PAGE_FAULT * 8
        mov     eax, page_fault
        call    gate
        lidt    [idt_register]
        mov     dword [DIRECTORY], TABLE + PRESENT
        mov     dword [DIRECTORY + 4], ABSENT_TABLE + PRESENT
        mov     edi, TABLE
        mov     eax, PRESENT
.entry: stosd
        add     eax, 1000h
        cmp     eax, 400000h + PRESENT
        jne     .entry

        mark    'A'
        call    interrupts
        call    unpaged_fills

        mov     eax, DIRECTORY
        mov     cr3, eax
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax
        jmp     paged

interrupts:
        mov     ecx, INTERRUPTS
.next:  int     VECTOR
        dec     ecx
        jnz     .next
        ret

unpaged_fills:
        mark    'L'
        mov     ebx, ROUNDS
.known: call    read_pages
        dec     ebx
        jnz     .known
        mark    'M'
        mov     ebx, ROUNDS
.flushed:
        mov     eax, cr0
        xor     eax, CR0_WP             ; which empties the TLB
        mov     cr0, eax
        call    read_pages
        dec     ebx
        jnz     .flushed
        ret

read_pages:
        mov     edi, MANY_PAGES
        mov     ecx, PAGES
.next:  mov     eax, [edi]
        add     edi, 1000h
        dec     ecx
        jnz     .next
        ret

paged:
        mark    'B'
        call    interrupts
        mark    'P'
        mov     ebx, ROUNDS
.known: call    read_pages
        dec     ebx
        jnz     .known
        mark    'Q'
        mov     ebx, ROUNDS
.flushed:
        mov     eax, cr3
        mov     cr3, eax
        call    read_pages
        dec     ebx
        jnz     .flushed

        mark    'F'
        mov     ecx, INTERRUPTS
.fault: mov     eax, [ABSENT_PAGE]
        dec     ecx
        jnz     .fault

        xor     eax, eax
        push    eax                     ; GS, FS, DS, ES, SS
        push    eax
        push    eax
        push    eax
        push    eax
        push    dword STACK - 200h
        push    dword VIRTUAL_FLAGS
        push    eax
        push    dword virtual
        iretd

handler:
        iretd

page_fault:
        add     esp, 4                  ; the error code
        add     dword [esp], paged.behind - paged.length
        iretd

paged.length:
        mov     eax, [ABSENT_PAGE]
paged.behind:

; EDI = where, EAX = the handler
gate:
        mov     [edi], ax
        mov     word [edi + 2], CODE
        mov     dword [edi + 4], 0EE00h ; 32-bit interrupt gate for all; the handler is below 64 KiB
        ret

        bits    16
virtual:
        mark    'V'
        mov     ecx, INTERRUPTS
.next:  int     VECTOR
        dec     ecx
        jnz     .next
        mark    '.'
        jmp     $

        align   8
gdt:    dq      0
        dq      00CF9B000000FFFFh
        dq      00CF93000000FFFFh
        dw      103, TSS & 0FFFFh, 8900h + (TSS >> 16), 0
gdt_register:
        dw      $ - gdt - 1
        dd      gdt
idt_register:
        dw      7FFh
        dd      IDT
