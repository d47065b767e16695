// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes the kernel send every administration command for a member that it knows, and says what came
 * back, one line for each, "member_commands says NAME RESULT VALUE".
 *
 * The functions that send them want a virtual function, and QEMU shows none of a vfio-user device. So
 * there is one in memory alone: a copy of the owner's pci_dev that says it is its virtual function
 * number MEMBER + 1, and an owner that says where its virtual functions are. Nothing of either is
 * registered anywhere, and the owner is as before when this module is loaded.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/unaligned.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_pci_admin.h>

#define VENDOR 0x1af4
#define BUFFER_BYTES 4096

/* Member identifiers begin at 1, numbers of virtual functions at 0. */
static int member = 1;
module_param(member, int, 0444);
static int rounds;
module_param(rounds, int, 0444);
static int device = 0x1044;
module_param(device, int, 0444);

/* The beginning of the kernel's struct pci_sriov, which is in no header: where functions are. */
struct places {
	int pos;
	int nres;
	u32 cap;
	u16 ctrl;
	u16 total_vfs;
	u16 initial_vfs;
	u16 num_vfs;
	u16 offset;
	u16 stride;
	u8 rest[512];
};

static void say(const char *name, int result, u64 value)
{
	pr_info("member_commands says %s %d %llu\n", name, result, value);
}

static void legacy(struct pci_dev *vf, u8 *buffer)
{
	u64 offset = 0;
	u8 bar = 0;
	int r;

	/* The status register: ACKNOWLEDGE and DRIVER. */
	buffer[0] = 3;
	r = virtio_pci_admin_legacy_common_io_write(vf, 18, 1, buffer);
	say("legacy-common-write", r, buffer[0]);
	buffer[0] = 0;
	r = virtio_pci_admin_legacy_common_io_read(vf, 18, 1, buffer);
	say("legacy-common-read", r, buffer[0]);
	r = virtio_pci_admin_legacy_common_io_read(vf, 12, 2, buffer);
	say("legacy-queue-size", r, get_unaligned_le16(buffer));
	r = virtio_pci_admin_legacy_device_io_read(vf, 0, 4, buffer);
	say("legacy-device-read", r, get_unaligned_le32(buffer));
	/* The capacity cannot be written. */
	memset(buffer, 0, 4);
	r = virtio_pci_admin_legacy_device_io_write(vf, 0, 4, buffer);
	say("legacy-device-write", r, 0);
	r = virtio_pci_admin_legacy_device_io_read(vf, 0, 4, buffer);
	say("legacy-device-again", r, get_unaligned_le32(buffer));
	r = virtio_pci_admin_legacy_io_notify_info(vf, VIRTIO_ADMIN_CMD_NOTIFY_INFO_FLAGS_OWNER_MEM,
						   &bar, &offset);
	say("legacy-notify-bar", r, bar);
	say("legacy-notify-offset", r, offset);
	buffer[0] = 0;
	r = virtio_pci_admin_legacy_common_io_write(vf, 18, 1, buffer);
	say("legacy-reset", r, 0);
}

static void parts(struct pci_dev *vf, u8 *buffer)
{
	struct virtio_admin_cmd_resource_obj_cmd_hdr *header;
	struct scatterlist sg;
	u32 get = 0, set = 0, size = 0, length = 0;
	int r;

	r = virtio_pci_admin_obj_create(vf, VIRTIO_RESOURCE_OBJ_DEV_PARTS,
					VIRTIO_RESOURCE_OBJ_DEV_PARTS_TYPE_GET, &get);
	say("object-get-create", r, get);
	r = virtio_pci_admin_obj_create(vf, VIRTIO_RESOURCE_OBJ_DEV_PARTS,
					VIRTIO_RESOURCE_OBJ_DEV_PARTS_TYPE_SET, &set);
	say("object-set-create", r, set);
	r = virtio_pci_admin_mode_set(vf, BIT(VIRTIO_ADMIN_CMD_DEV_MODE_F_STOPPED));
	say("mode-stop", r, 0);
	r = virtio_pci_admin_dev_parts_metadata_get(vf, VIRTIO_RESOURCE_OBJ_DEV_PARTS, get,
						    VIRTIO_ADMIN_CMD_DEV_PARTS_METADATA_TYPE_SIZE,
						    &size);
	say("parts-size", r, size);
	sg_init_one(&sg, buffer, BUFFER_BYTES);
	r = virtio_pci_admin_dev_parts_get(vf, VIRTIO_RESOURCE_OBJ_DEV_PARTS, get,
					   VIRTIO_ADMIN_CMD_DEV_PARTS_GET_TYPE_ALL, &sg, &length);
	say("parts-get", r, length);
	/* What was read goes back, behind the header that names the object. */
	if (!r && length && sizeof(*header) + length <= BUFFER_BYTES) {
		memmove(buffer + sizeof(*header), buffer, length);
		header = (void *)buffer;
		memset(header, 0, sizeof(*header));
		header->type = cpu_to_le16(VIRTIO_RESOURCE_OBJ_DEV_PARTS);
		header->id = cpu_to_le32(set);
		sg_init_one(&sg, buffer, sizeof(*header) + length);
		r = virtio_pci_admin_dev_parts_set(vf, &sg);
		say("parts-set", r, length);
	}
	r = virtio_pci_admin_mode_set(vf, 0);
	say("mode-resume", r, 0);
	r = virtio_pci_admin_obj_destroy(vf, VIRTIO_RESOURCE_OBJ_DEV_PARTS, get);
	say("object-get-destroy", r, get);
	r = virtio_pci_admin_obj_destroy(vf, VIRTIO_RESOURCE_OBJ_DEV_PARTS, set);
	say("object-set-destroy", r, set);
	r = virtio_pci_admin_obj_destroy(vf, VIRTIO_RESOURCE_OBJ_DEV_PARTS, get);
	say("object-again", r, get);
}

/* How long so many of the shortest commands take, one after the other. */
static void measure(struct pci_dev *vf, u8 *buffer)
{
	u64 from = ktime_get_ns();
	int i, r = 0;

	for (i = 0; i < rounds && !r; i++)
		r = virtio_pci_admin_legacy_common_io_read(vf, 18, 1, buffer);
	if (rounds)
		say("rounds-ns", r, ktime_get_ns() - from);
}

static int __init member_commands_init(void)
{
	struct pci_dev *owner = pci_get_device(VENDOR, device, NULL);
	struct pci_sriov *before;
	struct places *places = kzalloc(sizeof(*places), GFP_KERNEL);
	struct pci_dev *vf = NULL;
	u8 *buffer = kzalloc(BUFFER_BYTES, GFP_KERNEL);
	int r = -ENODEV;

	if (owner)
		vf = kmemdup(owner, sizeof(*owner), GFP_KERNEL);
	if (!owner || !vf || !places || !buffer)
		goto out;
	places->total_vfs = places->initial_vfs = places->num_vfs = 64;
	places->offset = 8;
	places->stride = 1;
	before = owner->sriov;
	owner->sriov = (struct pci_sriov *)places;
	vf->is_virtfn = 1;
	vf->is_physfn = 0;
	vf->physfn = owner;
	vf->devfn = owner->devfn + places->offset + (member - 1) * places->stride;
	say("vf-number", pci_iov_vf_id(vf), 0);
	say("has-legacy", virtio_pci_admin_has_legacy_io(vf), 0);
	say("has-parts", virtio_pci_admin_has_dev_parts(vf), 0);
	if (rounds) {
		measure(vf, buffer);
	} else {
		legacy(vf, buffer);
		parts(vf, buffer);
	}
	owner->sriov = before;
	r = 0;
out:
	kfree(buffer);
	kfree(places);
	kfree(vf);
	pci_dev_put(owner);
	return r;
}

static void __exit member_commands_exit(void)
{
}

module_init(member_commands_init);
module_exit(member_commands_exit);
MODULE_DESCRIPTION("Sends the administration commands of virtio for one member");
MODULE_LICENSE("GPL");
