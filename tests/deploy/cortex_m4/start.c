/* From reset to main, and from main's end to QEMU's. */
extern char stack_top[];
int main(void);
void reset(void);
void fault(void);

/* Ask QEMU for something (semihosting): r0 the operation, r1 its argument. */
void ask_host(int operation, const void *argument) {
    __asm__ volatile("mov r0, %0\n mov r1, %1\n bkpt 0xab" : : "r"(operation), "r"(argument) : "r0", "r1", "memory");
}

static void leave(int well) { ask_host(0x18, (const void *)(well ? 0x20026 : 0x20023)); }

void reset(void) {
    *(volatile unsigned *)0xe000ed88 |= 0xfu << 20; /* the floating-point unit on */
    __asm__ volatile("dsb\n isb");
    leave(main() == 0);
}

void fault(void) { leave(0); }

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top,
    (const void *)reset,
    [2 ... 15] = (const void *)fault,
};
