/** Clauses of the device resource objects. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = {
  scope: "admin",
  file: "admin-cmds-resource-objects.tex",
  family: "resource-objects",
};
const PATH =
  "Basic Facilities of a Virtio Device / Device groups / Group administration commands / Device resource objects";
const TITLE = "Device resource objects";

/** Sections of the resource objects; see {@link CLAUSE_SECTIONS}. */
export const RESOURCE_OBJECT_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "resource-object-device",
    role: "device",
    title: TITLE,
    label: `devicenormative:${PATH}`,
    rules: {
      "1 should": "Creating an object under an id that its type has in use fails with EEXIST.",
      "2 should":
        "Modifying, querying or destroying an object that does not exist fails with ENXIO.",
      "3 should": "A creation that the device cannot carry out fails with ENOSPC.",
      "4 should":
        "Modifying or destroying an object that other objects depend on fails with EBUSY.",
      "5 must": "An object that was destroyed can be created again without a device reset.",
      "6 should": "An object can be created under any id that is not in use.",
      "7 may":
        "A creation may fail below the capability's limit because the device has reached a limit inside.",
      "8 should": "The device allows as many objects as the driver capability sets.",
      "9 must-not": "A RESOURCE_OBJ_MODIFY that fails has no effect on the object.",
      "10 must":
        "RESOURCE_OBJ_QUERY returns the specific data of the last successful creation or modification.",
      "11 must": "A device reset destroys all resource objects.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "resource-object-driver",
    role: "driver",
    title: TITLE,
    label: `drivernormative:${PATH}`,
    rules: {
      "1 must-not":
        "The driver does not create an object under a type and id that it has in use, before destroying that object.",
      "2 must-not":
        "The driver does not create more objects of a type than its driver capability allows.",
      "3 should-not":
        "The driver does not modify, query or destroy an object that it has destroyed already.",
      "4 should-not": "The driver does not destroy an object that other objects depend on.",
      "5 should": "The driver destroys the objects on which nothing depends, dependants first.",
      "6 must-not":
        "The driver does not set a capability while objects it governs have been created and not destroyed.",
      "7 must": "The driver sends DRIVER_CAP_SET before it uses any resource of that capability.",
    },
  }),
] as const;
