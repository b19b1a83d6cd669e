const containerId = /[0-9a-f]{64}/;

/** Returns a short name of a control group: the container id, the systemd unit, or the last part of the path. */
export function cgroupLabel(path: string): string {
  const id = containerId.exec(path)?.[0];
  if (id) return `container ${id.slice(0, 12)}`;
  const parts = path.split("/").filter(Boolean);
  // The services of a user are below the service of the user's manager, user@1000.service.
  const unit = parts.findLast((part) => part.endsWith(".service") && !/^user@\d+\.service$/.test(part));
  return unit ?? parts.at(-1) ?? path;
}
