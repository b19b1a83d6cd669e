import type { ReactNode } from "react";
import { ConfirmButton } from "../../components/ConfirmButton";
import { ScrollRegion } from "../../components/ScrollRegion";
import { TableHead } from "../../components/TableHead";
import { ExpiryTime } from "../../components/Timestamps";

interface Credential {
  id: number;
  created_by: string;
  expires_at?: string | null;
}

interface CredentialColumn<T> {
  title: string;
  right?: boolean;
  cell: (credential: T) => ReactNode;
}

interface CredentialTableProps<T extends Credential> {
  label: string;
  credentials: readonly T[];
  /** The first column identifies the credential. */
  columns: readonly [CredentialColumn<T>, ...CredentialColumn<T>[]];
  /** Asked before a credential is revoked. */
  question: string;
  revoke: { mutate: (id: number) => void; isPending: boolean; error: Error | null };
}

/** Lists enrolment keys or API tokens, with a button that revokes each. */
export function CredentialTable<T extends Credential>(props: CredentialTableProps<T>) {
  const { label, credentials, columns, question, revoke } = props;
  const [identity, ...details] = columns;
  const common = [{ title: "Expires" }, { title: "Created by" }, { title: "Actions", hidden: true }];
  return (
    <>
      <ScrollRegion label={label}>
        <table>
          <TableHead columns={[...columns, ...common]} />
          <tbody>
            {credentials.map((credential) => (
              <tr key={credential.id}>
                <th scope="row">{identity.cell(credential)}</th>
                {details.map(({ title, right, cell }) => (
                  <td key={title} className={right ? "right number" : undefined}>
                    {cell(credential)}
                  </td>
                ))}
                <td>
                  {credential.expires_at ? (
                    <ExpiryTime at={credential.expires_at} />
                  ) : (
                    <span className="quiet">never</span>
                  )}
                </td>
                <td>{credential.created_by}</td>
                <td className="right">
                  <ConfirmButton
                    label="Revoke"
                    question={question}
                    disabled={revoke.isPending}
                    onConfirm={() => revoke.mutate(credential.id)}
                  />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollRegion>
      {revoke.error && <p className="wrong">{revoke.error.message}</p>}
    </>
  );
}
