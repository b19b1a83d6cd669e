import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import type { ComponentType } from "react";
import { currentUserQuery } from "../../api/account";
import { Notice } from "../../components/Notice";
import { AuditTab } from "./AuditTab";
import { EnrolmentTab } from "./EnrolmentTab";
import { StorageTab } from "./StorageTab";
import { TokensTab } from "./TokensTab";
import { UsersTab } from "./UsersTab";
import { type AdminTab, adminTabs } from "./search";

const tabs: Record<AdminTab, { title: string; component: ComponentType }> = {
  users: { title: "Users", component: UsersTab },
  enrolment: { title: "Add machines", component: EnrolmentTab },
  tokens: { title: "API tokens", component: TokensTab },
  storage: { title: "Storage", component: StorageTab },
  audit: { title: "Audit log", component: AuditTab },
};

/** Manages users, machines, tokens and storage. For administrators only. */
export function AdminPage() {
  const { tab = "users" } = useSearch({ from: "/admin" });
  const { data: user } = useQuery(currentUserQuery);
  const Tab = tabs[tab].component;
  if (user && user.role !== "admin") {
    return (
      <main>
        <h1 className="page-title">Administration</h1>
        <Notice kind="error" title="You need to be an administrator to open this page." />
      </main>
    );
  }
  return (
    <main>
      <h1 className="page-title">Administration</h1>
      <nav className="tabs" aria-label="Administration">
        {adminTabs.map((name) => (
          <Link key={name} to="/admin" search={{ tab: name }} aria-current={name === tab ? "page" : undefined}>
            {tabs[name].title}
          </Link>
        ))}
      </nav>
      <Tab />
    </main>
  );
}
