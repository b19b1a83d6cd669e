/** Takes the space of the table rows above or below the rendered ones, in pixels. */
export function SpacerRow({ height }: { height: number }) {
  return height > 0 ? (
    <tr role="presentation" className="space">
      <td style={{ height }} />
    </tr>
  ) : null;
}
