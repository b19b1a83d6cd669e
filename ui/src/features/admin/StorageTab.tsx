import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { storageQuery } from "../../api/admin";
import type { Storage } from "../../api/client";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { ScrollRegion } from "../../components/ScrollRegion";
import { TableHead } from "../../components/TableHead";
import { DateTime } from "../../components/Timestamps";
import { bytes, number } from "../../format";
import { RetentionForm } from "./RetentionForm";

/** The disk usage of all stored data, and how long it is kept. */
export function StorageTab() {
  const { data: storage, error, isFetching } = useQuery(storageQuery);
  return (
    <>
      <ProgressBar busy={isFetching} />
      {error && (
        <Notice kind="error" title="Could not load the disk usage.">
          {error.message}
        </Notice>
      )}
      {storage && (
        <dl className="tiles">
          <Tile
            name="Disk usage"
            value={bytes(storage.bytes)}
            detail={`${storage.profile}: ${storage.profile_reason}`}
          />
          <Tile
            name="Oldest data"
            value={storage.oldest ? <DateTime at={storage.oldest} /> : "–"}
            detail={`${storage.process_samples.toLocaleString()} process samples of ${identitiesOf(storage)}`}
          />
          <Tile
            name="Per process sample"
            value={storage.bytes_per_sample === null ? "–" : `${number(storage.bytes_per_sample, 2)} bytes`}
            detail={
              storage.compression
                ? `one process in one snapshot; profile ${storage.profile}, compression ratio ${number(storage.compression, 1)}`
                : `one process in one snapshot; profile ${storage.profile}, nothing is compressed`
            }
          />
          <Tile
            name="Growth per day"
            value={bytes(storage.bytes_per_day)}
            detail={`${storage.samples_per_day.toLocaleString()} samples in the last 24 hours${forecast(storage)}`}
          />
        </dl>
      )}
      <RetentionForm />
      {storage && (
        <ScrollRegion label="Tables">
          <table>
            <TableHead
              columns={[
                { title: "Table" },
                { title: "Disk usage", right: true },
                { title: "Rows (estimate)", right: true },
              ]}
            />
            <tbody>
              {storage.relations.map((relation) => (
                <tr key={relation.relation}>
                  <th scope="row">{relation.relation}</th>
                  <td className="right number">{bytes(relation.bytes)}</td>
                  <td className="right number">{relation.rows.toLocaleString()}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      )}
    </>
  );
}

/** Returns the number of identities. A process has several if it calls exec or gets another parent. */
function identitiesOf({ relations }: Storage): string {
  const rows = relations.find(({ relation }) => relation === "processes")?.rows ?? 0;
  return `about ${rows.toLocaleString()} process identities`;
}

function forecast({ bytes_per_day, budget_days, compression }: Storage): string {
  if (bytes_per_day === null) return "; not enough data for a forecast, which needs 24 hours with data";
  const compressed = compression === null ? "" : ", after compression";
  return budget_days === null ? compressed : `${compressed}; the disk budget holds ${number(budget_days)} days`;
}

function Tile({ name, value, detail }: { name: string; value: ReactNode; detail: string }) {
  return (
    <div className="tile">
      <dt>{name}</dt>
      <dd>
        <span className="number">{value}</span>
        <span className="quiet block">{detail}</span>
      </dd>
    </div>
  );
}
