const containerId = /[0-9a-f]{64}/;

/** What people call a control group: a container by the start of its id, a service by its unit, else the end of the path. */
export function cgroupLabel(path: string): string {
  const id = containerId.exec(path)?.[0];
  if (id) return `container ${id.slice(0, 12)}`;
  const parts = path.split("/").filter(Boolean);
  // A user's own services are below the scope of their session's manager.
  const unit = parts.findLast((part) => part.endsWith(".service") && !/^user@\d+\.service$/.test(part));
  return unit ?? parts.at(-1) ?? path;
}
