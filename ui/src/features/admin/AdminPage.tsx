import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { currentUserQuery } from "../../api/account";
import { Notice } from "../../components/Notice";
import { AuditTab } from "./AuditTab";
import { EnrolmentTab } from "./EnrolmentTab";
import { StorageTab } from "./StorageTab";
import { TokensTab } from "./TokensTab";
import { type AdminTab, adminTabs } from "./search";
import { UsersTab } from "./UsersTab";

const titles: Record<AdminTab, string> = {
  users: "Users",
  enrolment: "Add machines",
  tokens: "Tokens",
  storage: "Storage",
  audit: "Audit log",
};

/** Who gets in, what is kept, and what was done. */
export function AdminPage() {
  const { tab = "users" } = useSearch({ from: "/admin" });
  const { data: self } = useQuery(currentUserQuery);
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
      {tab === "users" && <UsersTab />}
      {tab === "enrolment" && <EnrolmentTab />}
      {tab === "tokens" && <TokensTab />}
      {tab === "storage" && <StorageTab />}
      {tab === "audit" && <AuditTab />}
    </main>
  );
}
