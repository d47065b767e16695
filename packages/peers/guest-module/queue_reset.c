// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets the virtqueues of all virtio devices on PCI, one by one, as drivers of network devices do, and
 * says what came of it, one line for each, "queue_reset says DEVICE QUEUE RESULT RECYCLED". The devices
 * must be idle: what a driver has in a queue is lost.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/virtio.h>

#define VENDOR 0x1af4

static unsigned int recycled;

static void recycle(struct virtqueue *vq, void *buf)
{
	recycled++;
}

/* A function has other children than its virtio device. */
static int reset_queues(struct device *child, void *data)
{
	struct virtio_device *device;
	struct virtqueue *vq;
	int r;

	if (!child->bus || strcmp(child->bus->name, "virtio"))
		return 0;
	device = dev_to_virtio(child);
	virtio_device_for_each_vq(device, vq) {
		recycled = 0;
		r = virtqueue_reset(vq, recycle, NULL);
		pr_info("queue_reset says %u %u %d %u\n", device->id.device, vq->index, r, recycled);
	}
	return 0;
}

static int __init queue_reset_init(void)
{
	struct pci_dev *function = NULL;

	for_each_pci_dev(function) {
		if (function->vendor == VENDOR)
			device_for_each_child(&function->dev, NULL, reset_queues);
	}
	return 0;
}

static void __exit queue_reset_exit(void)
{
}

module_init(queue_reset_init);
module_exit(queue_reset_exit);
MODULE_DESCRIPTION("Resets the virtqueues of virtio devices");
MODULE_LICENSE("GPL");
