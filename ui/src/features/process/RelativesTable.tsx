import { Link } from "@tanstack/react-router";
import { ScrollRegion } from "../../components/ScrollRegion";
import { TableHead } from "../../components/TableHead";
import { bytes, duration, percent } from "../../format";
import { type Process, keyOf } from "../../processes/process";
import type { Relatives } from "../../processes/relatives";

const columns = [
  { title: "Process" },
  { title: "PID", right: true },
  { title: "User" },
  { title: "CPU", right: true },
  { title: "Memory", right: true },
  { title: "Running for", right: true },
];

interface RelativesTableProps {
  machineId: string;
  relatives: Relatives;
  at: string;
}

/** Lists the ancestors of a process, the process if it runs, and its children, at an instant. */
export function RelativesTable({ machineId, relatives, at }: RelativesTableProps) {
  const { ancestors, self, children } = relatives;
  if (!self && ancestors.length === 0) return null;
  const common = { machineId, at };
  return (
    <ScrollRegion label="Parents and children: list">
      <table className="diff relatives">
        <TableHead columns={columns} />
        <tbody>
          {ancestors.map((process, depth) => (
            <RelativeRow key={keyOf(process)} process={process} depth={depth} relation="parent" {...common} />
          ))}
          {self && <RelativeRow process={self} depth={ancestors.length} relation="self" {...common} />}
          {children.map((process) => (
            <RelativeRow
              key={keyOf(process)}
              process={process}
              depth={ancestors.length + 1}
              relation="child"
              {...common}
            />
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

interface RelativeRowProps {
  machineId: string;
  process: Process;
  depth: number;
  at: string;
  relation: "parent" | "self" | "child";
}

function RelativeRow({ machineId, process, depth, at, relation }: RelativeRowProps) {
  return (
    <tr data-pid={process.pid} data-relation={relation} className={relation === "self" ? "selected" : ""}>
      <th scope="row">
        <span className="process" style={{ paddingInlineStart: `${Math.min(depth, 20) * 1.1}rem` }}>
          {relation === "self" ? (
            <span className="name">{process.name}</span>
          ) : (
            <Link
              className="name"
              to="/machines/$machineId/processes/$pid"
              params={{ machineId, pid: String(process.pid) }}
              search={{ ...(process.started_at && { started: process.started_at }), at }}
            >
              {process.name}
            </Link>
          )}
          <span className="command quiet" title={process.command_line}>
            {process.command_line}
          </span>
        </span>
      </th>
      <td className="right number">{process.pid}</td>
      <td>{process.user}</td>
      <td className="right number">{percent(process.cpu_usage)}</td>
      <td className="right number">{bytes(process.memory_usage)}</td>
      <td className="right number">
        {process.started_at ? duration(Date.parse(at) - Date.parse(process.started_at)) : "–"}
      </td>
    </tr>
  );
}
