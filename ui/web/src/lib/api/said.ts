// What the server says of bad input is English; a reader of Vietnamese is told
// the same in Vietnamese. Its sentences are few, so each is known here by its
// shape; one that is not known stays as it was said.

type Rule = readonly [said: RegExp, vi: string];

const KIND_VI = 'phải là station, gateway, access_point hoặc bridge';
const RULES: readonly Rule[] = [
  // ids, names, texts
  [/^must be 1 to (\d+) of A-Z a-z 0-9 \. _ - and begin with a letter or digit$/, 'dài 1 đến $1 ký tự A-Z a-z 0-9 . _ - và bắt đầu bằng chữ hoặc số'],
  [/^must be 1 to (\d+) of a-z 0-9 _ and begin with a letter$/, 'dài 1 đến $1 ký tự a-z 0-9 _ và bắt đầu bằng chữ'],
  [/^letters, digits, '\.', '_' and '-', at most (\d+), a letter or digit first$/, 'tối đa $1 ký tự: chữ không dấu, số, . _ - ; bắt đầu bằng chữ hoặc số'],
  [/^must be 1 to (\d+) characters without control characters$/, 'cần có, tối đa $1 ký tự'],
  [/^must be at most (\d+) characters without control characters$/, 'tối đa $1 ký tự'],
  [/^1 to (\d+) bytes of text$/, 'cần có, tối đa $1 byte'],
  [/^at most (\d+)$/, 'tối đa $1 mục'],
  [/^at most (\d+) bytes$/, 'tối đa $1 byte'],
  [/^is named twice$/, 'đã ghi hai lần'],
  // shapes (the API's own schema)
  [/^expected number <= (.+)$/, 'tối đa $1'],
  [/^expected number >= (.+)$/, 'ít nhất $1'],
  [/^expected number < (.+)$/, 'nhỏ hơn $1'],
  [/^expected number > (.+)$/, 'lớn hơn $1'],
  [/^expected number$/, 'phải là một số'],
  [/^expected integer$/, 'phải là số nguyên'],
  [/^expected string to be identifier$/, 'dài 1 đến 64 ký tự A-Z a-z 0-9 . _ - và bắt đầu bằng chữ hoặc số'],
  [/^expected string$/, 'phải là chữ'],
  [/^expected length >= 1$/, 'cần có'],
  [/^expected length >= (\d+)$/, 'ít nhất $1 ký tự'],
  [/^expected length <= (\d+)$/, 'tối đa $1 ký tự'],
  [/^expected array length <= (\d+)$/, 'tối đa $1 mục'],
  [/^expected required property (\S+) to be present$/, 'thiếu $1'],
  [/^expected value to be one of "?(.+?)"?$/, 'phải là một trong: $1'],
  // devices
  [/^must be station, gateway, access_point or bridge$/, KIND_VI],
  [/^must be a longitude from -180 to 180 degrees$/, 'kinh độ từ −180 đến 180'],
  [/^must be a latitude from -90 to 90 degrees$/, 'vĩ độ từ −90 đến 90'],
  [/^must be (\d+) to (\d+) seconds$/, 'từ $1 đến $2 giây'],
  [/^is the device itself$/, 'chính là thiết bị này'],
  [/^a gateway has none$/, 'bộ tập trung không thuộc bộ tập trung khác'],
  [/^no such device$/, 'không có thiết bị này'],
  [/^is not a gateway$/, 'không phải bộ tập trung'],
  // rules
  [/^must be low, medium, high or urgent$/, 'phải là thấp, vừa, cao hoặc khẩn cấp'],
  [/^must be a finite number$/, 'phải là một số'],
  [/^must have one of above and below$/, 'cần một ngưỡng trên hoặc dưới'],
  [/^must not lie over on\.above$/, 'không được cao hơn ngưỡng bật'],
  [/^must not lie under on\.below$/, 'không được thấp hơn ngưỡng bật'],
  // accounts, tokens
  [/^at least (\d+) characters$/, 'ít nhất $1 ký tự'],
  [/^must differ from the user name$/, 'phải khác tên đăng nhập'],
  [/^admin, operator or viewer$/, 'phải là quản trị, trực ban hoặc chỉ xem'],
  [/^the account has (\d+) tokens already$/, 'tài khoản đã có $1 khoá'],
  [/^lies in the past$/, 'đã qua'],
  // GeoJSON
  [/^not a GeoJSON Feature$/, 'không phải Feature của GeoJSON'],
  [/^its "type" is not "Feature"$/, '“type” không phải “Feature”'],
  [/^its id is that of feature (\d+) of this collection$/, 'trùng mã với mục $1 trong tệp'],
  [/^its geometry is (.+); a zone is a Polygon or a MultiPolygon$/, 'hình là $1; vùng phải là Polygon hoặc MultiPolygon'],
  [/^polygon (\d+): (.+)$/, 'đa giác $1: $2'],
  [/^ring (\d+):? has (\d+) positions; a ring needs at least 4$/, 'vòng $1 có $2 điểm; một vòng cần ít nhất 4'],
  [/^ring (\d+):? is open: it begins at (.+) and ends at (.+)$/, 'vòng $1 hở: bắt đầu ở $2, kết thúc ở $3'],
  [/^ring (\d+):? has fewer than 3 different positions near (.+)$/, 'vòng $1 có ít hơn 3 điểm khác nhau gần $2'],
  [/^rings (\d+) and (\d+) cross or run along each other near (.+)$/, 'vòng $1 và $2 cắt hoặc chạy chồng lên nhau gần $3'],
  [/^ring (\d+) crosses or touches itself near (.+)$/, 'vòng $1 tự cắt hoặc tự chạm gần $2'],
  [/^ring (\d+), a hole, lies outside the shell at (.+)$/, 'vòng $1 là lỗ, nằm ngoài đường bao ở $2'],
  [/^ring (\d+), a hole, lies in the hole that is ring (\d+)$/, 'vòng $1 là lỗ, nằm trong lỗ là vòng $2'],
  [/^has no id: neither "id" nor properties\.id$/, 'không có mã: thiếu “id” hoặc properties.id'],
  [/^has no rings$/, 'không có vòng nào'],
];

/** The server's sentence in Vietnamese, or as it was said. */
export function inVietnamese(said: string): string {
  for (const [shape, vi] of RULES) {
    const m = shape.exec(said);
    // A sentence may hold another: "polygon 1: ring 0 is open…".
    if (m) return vi.replace(/\$(\d)/g, (_, i: string) => (i === '2' && said.startsWith('polygon ') ? inVietnamese(m[2] ?? '') : (m[Number(i)] ?? '')));
  }
  return said;
}
