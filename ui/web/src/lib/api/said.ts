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
  // cameras
  [/^is missing$/, 'thiếu'],
  [/^must be 0 to 360 degrees clockwise from north$/, 'từ 0 đến 360 độ, theo chiều kim đồng hồ từ hướng bắc'],
  [/^must be above 0 to 360 degrees$/, 'trên 0 đến 360 độ'],
  [/^must be traffic or security, or left out$/, 'phải là traffic hoặc security, hoặc để trống'],
  [/^must be always or on_demand$/, 'phải là always hoặc on_demand'],
  [/^must be rtsp:\/\/\[user:password@\]host\[:port\]\/path, .*$/, 'phải có dạng rtsp://tên:mật-khẩu@máy:cổng/đường-dẫn; trong tên và mật khẩu viết / ? # @ : bằng mã %'],
  [/^must begin with rtsp:\/\/; RTSP over TLS is not supported$/, 'phải bắt đầu bằng rtsp://; chưa hỗ trợ RTSP qua TLS'],
  [/^must be UTF-8 text without spaces and control characters$/, 'không được có dấu cách hay ký tự điều khiển'],
  [/^must have a port from 1 to 65535$/, 'cổng phải từ 1 đến 65535'],
  [/^has a password without a user$/, 'có mật khẩu mà không có tên đăng nhập'],
  [/^must be given with user and password .*$/, 'đổi máy hoặc cổng thì phải nhập lại tên đăng nhập và mật khẩu; tài khoản đã lưu không gửi sang máy khác'],
  [/^must be given whole: .*$/, 'phải nhập lại đầy đủ địa chỉ, kể cả phần hiện là *'],
  [/^must be given whole, with user and password .*$/, 'phải nhập lại đầy đủ, kể cả tên đăng nhập và mật khẩu: không mở được bản đã lưu'],
  [/^shows \* for a value that is not stored$/, 'có dấu * ở chỗ chưa từng lưu'],
  [/^lies on a loopback, link-local, multicast or unspecified network, .*$/, 'nằm trong mạng không được đặt camera (máy chủ này, link-local, multicast); mở bằng video.allow trong cấu hình'],
  [/^must be at most (\d+) bytes$/, 'tối đa $1 byte'],
  [/^must be at most (\d+) MiB$/, 'tối đa $1 MiB'],
  [/^must have at most (\d+) cameras$/, 'tối đa $1 camera'],
  [/^is on line (\d+), too$/, 'đã có ở dòng $1'],
  [/^has (\d+) fields instead of (\d+)$/, 'có $1 cột, cần $2'],
  [/^its quotes do not match$/, 'dấu nháy không khớp'],
  [/^its first line cannot be read: its quotes do not match$/, 'không đọc được dòng đầu: dấu nháy không khớp'],
  [/^is empty; its first line must name the columns$/, 'tệp trống; dòng đầu phải có tên cột'],
  [/^column (\d+) of the first line has none of the names (.+)$/, 'cột $1 ở dòng đầu không phải một trong các tên $2'],
  [/^column (\S+) is there twice$/, 'cột $1 có hai lần'],
  [/^column (\S+) is missing$/, 'thiếu cột $1'],
  [/^is not UTF-8; save the file as CSV UTF-8$/, 'không phải UTF-8; lưu tệp dạng CSV UTF-8'],
  [/^is UTF-16; save it as CSV UTF-8$/, 'là UTF-16; lưu tệp dạng CSV UTF-8'],
  [/^has a decimal comma; write a point$/, 'dùng dấu phẩy thập phân; viết bằng dấu chấm'],
  [/^must be a number$/, 'phải là một số'],
  // what was set aside (telemetry)
  [/^(.+) at byte (\d+)$/, '$1, ở byte $2'],
  [/^not JSON$/, 'không phải JSON'],
  [/^nested too deep$/, 'lồng quá sâu'],
  [/^ts (.+) is before 2000 or ahead of now$/, 'ts $1 trước năm 2000 hoặc nhanh hơn giờ máy chủ'],
  [/^ts (.+) is not RFC 3339$/, 'ts $1 không theo RFC 3339'],
  [/^ts is no time$/, 'ts không phải thời điểm'],
  [/^ts is neither number nor string$/, 'ts không phải số, cũng không phải chuỗi'],
  [/^no object "values"$/, 'không có đối tượng "values"'],
  [/^an element is no object$/, 'có phần tử không phải đối tượng'],
  [/^neither object nor array$/, 'không phải đối tượng, cũng không phải mảng'],
  [/^no object of devices$/, 'không phải đối tượng gồm các thiết bị'],
  [/^(".+") is no number$/, '$1 không phải là số'],
  [/^more than ([\d,]+) datastreams$/, 'quá $1 chỉ số'],
  [/^([\w.-]+): more than ([\d,]+) datastreams$/, '$1: quá $2 chỉ số'],
  [/^(".+"): without ts, and every millisecond up to five minutes ahead is taken$/, '$1: không có ts, và mọi mili giây trong 5 phút tới đều đã có giá trị'],
  [/^not UTF-8$/, 'không phải UTF-8'],
  [/^(".+") and others$/, '$1 và các thiết bị khác'],
  [/^more than 1 MiB; not kept$/, 'quá 1 MiB; nội dung không được giữ lại'],
  [/^([\w.-]+) is not registered$/, '$1 chưa được đăng ký'],
  [/^([\w.-]+) is no gateway$/, '$1 không phải bộ tập trung'],
  [/^neither a device's topic nor a gateway's$/, 'không phải chủ đề của thiết bị, cũng không phải của bộ tập trung'],
  [/^more than 10,000 observations$/, 'quá 10.000 giá trị'],
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
    // A sentence may hold another: "polygon 1: ring 0 is open…", "not JSON at byte 3".
    const inner = said.startsWith('polygon ') ? '2' : / at byte \d+$/.test(said) ? '1' : '';
    if (m) return vi.replace(/\$(\d)/g, (_, i: string) => (i === inner ? inVietnamese(m[Number(i)] ?? '') : (m[Number(i)] ?? '')));
  }
  return said;
}
