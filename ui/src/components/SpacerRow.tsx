/** Takes the space of the table rows above or below the rendered ones. The height is in pixels. */
export function SpacerRow({ height }: { height: number }) {
  return height > 0 ? (
    // eslint-disable-next-line jsx-a11y/no-interactive-element-to-noninteractive-role -- the row has no content
    <tr role="presentation" className="space">
      <td style={{ height }} />
    </tr>
  ) : null;
}
