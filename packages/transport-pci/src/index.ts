/**
 * Virtio over PCI: both halves of the transport, with the administration virtqueue and SR-IOV groups.
 *
 * @packageDocumentation
 */
export {};
