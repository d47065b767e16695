/**
 * Compliance checks, a hostile driver and trace replay for virtio transports and device groups.
 *
 * @packageDocumentation
 */
export {};
