/** The kit and what runs it in two threads, in one bundle: a fault may be in any of its sources. */
export { TwoThreads } from "@virtio-admin/fixtures/threads";
export { COMPLIANCE_CASES } from "@virtio-admin/testkit";
