import { expect, test } from "vitest";
import { cgroupLabel } from "./cgroup";

const id = "0123456789abcdef".repeat(4);

test.each([
  ["/system.slice/nginx.service", "nginx.service"],
  ["/system.slice/postgresql.service/worker", "postgresql.service"],
  ["/user.slice/user-1000.slice/session-3.scope", "session-3.scope"],
  ["/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox.scope", "app-firefox.scope"],
  ["/user.slice/user-1000.slice/user@1000.service/app.slice/emacs.service", "emacs.service"],
  [`/system.slice/docker-${id}.scope`, "container 0123456789ab"],
  [`/docker/${id}`, "container 0123456789ab"],
  [
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-${id}.scope`,
    "container 0123456789ab",
  ],
  ["/init.scope", "init.scope"],
  ["/", "/"],
])("%s is called %s", (path, name) => expect(cgroupLabel(path)).toBe(name));
