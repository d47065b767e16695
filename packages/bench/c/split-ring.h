/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both halves of a split ring over memory of their own, with the checks that the TypeScript code
 * makes: what the programs of one thread and of two measure.
 */
#ifndef SPLIT_RING_H
#define SPLIT_RING_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	SIZE = 256,
	MEMORY = 1 << 20,
	READABLE = 24,
	WRITABLE = 16,
	F_NEXT = 1,
	F_WRITE = 2,
	SLOT = 64,
	SLOTS_AT = 1 << 16,
};

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct avail {
	uint16_t flags;
	_Atomic uint16_t idx;
	uint16_t ring[SIZE];
	uint16_t used_event;
};

struct used_elem {
	uint32_t id;
	uint32_t len;
};

struct used {
	uint16_t flags;
	_Atomic uint16_t idx;
	struct used_elem ring[SIZE];
	uint16_t avail_event;
};

static uint8_t *memory;
static struct desc *table;
static struct avail *avail;
static struct used *used;

/* What the driver keeps for itself. */
static uint16_t next_of[SIZE];
static uint16_t count_of[SIZE];
static uint32_t writable_of[SIZE];
static uint16_t free_head, free_count, driver_avail, driver_used;
/* What the device keeps for itself. */
static uint16_t device_avail, device_used;

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static void set_up(void)
{
	memory = aligned_alloc(4096, MEMORY);
	if (!memory)
		fail("no memory");
	memset(memory, 0, MEMORY);
	table = (struct desc *)memory;
	avail = (struct avail *)(memory + SIZE * sizeof(struct desc));
	used = (struct used *)(memory + 8192);
	for (int i = 0; i < SIZE; i++)
		next_of[i] = (uint16_t)(i + 1);
	free_count = SIZE;
}

static int add(uint64_t readable, uint64_t writable)
{
	if (free_count < 2)
		return -1;
	uint16_t head = free_head, second = next_of[head];
	table[head] = (struct desc){ readable, READABLE, F_NEXT, second };
	table[second] = (struct desc){ writable, WRITABLE, F_WRITE, 0 };
	free_head = next_of[second];
	free_count -= 2;
	count_of[head] = 2;
	writable_of[head] = WRITABLE;
	avail->ring[driver_avail % SIZE] = head;
	driver_avail++;
	return head;
}

static uint8_t *inside(uint64_t address, uint32_t length)
{
	if (address >= MEMORY || length > MEMORY - address)
		fail("unmapped");
	return memory + address;
}

static uint32_t serve(void)
{
	uint16_t until = atomic_load_explicit(&avail->idx, memory_order_acquire);
	uint32_t served = 0;

	if ((uint16_t)(until - device_avail) > SIZE)
		fail("index jump");
	while (device_avail != until) {
		uint16_t head = avail->ring[device_avail % SIZE], index = head, visited = 0;
		uint8_t *in = NULL, *out = NULL;

		if (head >= SIZE)
			fail("head");
		for (;;) {
			struct desc d = table[index];
			uint8_t *at = inside(d.addr, d.len);

			if (++visited > SIZE)
				fail("loop");
			if (d.flags & F_WRITE)
				out = at;
			else if (out)
				fail("order");
			else
				in = at;
			if (!(d.flags & F_NEXT))
				break;
			index = d.next;
			if (index >= SIZE)
				fail("next");
		}
		if (!in || !out)
			fail("parts");
		uint16_t opcode, group;
		uint64_t member;
		memcpy(&opcode, in, 2);
		memcpy(&group, in + 2, 2);
		memcpy(&member, in + 16, 8);
		uint64_t status = 0, result = (uint64_t)opcode + group + member;
		memcpy(out, &status, 8);
		memcpy(out + 8, &result, 8);
		used->ring[device_used % SIZE] = (struct used_elem){ head, WRITABLE };
		device_used++;
		device_avail++;
		served++;
	}
	/* A device that spins leaves the line to its driver while it has nothing to say. */
	if (served)
		atomic_store_explicit(&used->idx, device_used, memory_order_release);
	return served;
}

static uint32_t reap(void)
{
	uint16_t until = atomic_load_explicit(&used->idx, memory_order_acquire);
	uint32_t reaped = 0;

	if ((uint16_t)(until - driver_used) > SIZE)
		fail("index jump");
	while (driver_used != until) {
		struct used_elem e = used->ring[driver_used % SIZE];

		if (e.id >= SIZE || count_of[e.id] == 0 || e.len > writable_of[e.id])
			fail("used entry");
		next_of[next_of[e.id]] = free_head;
		free_head = (uint16_t)e.id;
		free_count = (uint16_t)(free_count + count_of[e.id]);
		count_of[e.id] = 0;
		driver_used++;
		reaped++;
	}
	return reaped;
}

#endif
