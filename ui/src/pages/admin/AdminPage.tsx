import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { selfQuery } from "../../api/self";
import { Notice } from "../../components/Notice";
import { Audit } from "./Audit";
import { Enrolment } from "./Enrolment";
import { Storage } from "./Storage";
import { Tokens } from "./Tokens";
import { type AdminTab, adminTabs } from "./tabs";
import { Users } from "./Users";

const titles: Record<AdminTab, string> = { users: "Users", enrolment: "Add machines", tokens: "Tokens", storage: "Storage", audit: "Audit log" };

/** Who gets in, what is kept, and what was done. */
export function AdminPage() {
  const { tab = "users" } = useSearch({ from: "/admin" });
  const { data: self } = useQuery(selfQuery);
  if (self && self.role !== "admin") {
    return (
      <main>
        <h1 className="page-title">Administration</h1>
        <Notice kind="error" title="This is for administrators." />
      </main>
    );
  }
  return (
    <main>
      <h1 className="page-title">Administration</h1>
      <nav className="tabs" aria-label="Administration">
        {adminTabs.map((name) => (
          <Link key={name} to="/admin" search={{ tab: name }} aria-current={name === tab ? "page" : undefined}>
            {titles[name]}
          </Link>
        ))}
      </nav>
      {tab === "users" && <Users />}
      {tab === "enrolment" && <Enrolment />}
      {tab === "tokens" && <Tokens />}
      {tab === "storage" && <Storage />}
      {tab === "audit" && <Audit />}
    </main>
  );
}
